"""Which files are made of which scan; all of it is checked before anything is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungzoo.errors import DatasetError, UsageError
from lungzoo.inference.files import check_files, write_each
from lungzoo.inference.formats import FORMATS, format_of, write_output
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume

_DEFAULT = ("nii.gz",)


@dataclass(frozen=True)
class Plan:
    """The files of one scan.

    Args:
        scan: what they are made of.
        paths: the files.
        force: replace those that exist.
    """

    scan: Input
    paths: tuple[Path, ...]
    force: bool

    @property
    def checked_scan(self) -> Input:
        """The scan, which as it is read is refused where none of the files can be made of it."""
        return replace(self.scan, load=self._load)

    def _load(self) -> Volume:
        volume = self.scan.load()
        faults = []
        for path in self.paths:
            try:
                format_of(path).check_volume(volume)
            except DatasetError as error:
                faults.append(error)
        if faults and len(faults) == len(self.paths):
            raise faults[0]
        return volume

    def write(self, result: Result) -> None:
        """Write them, each whole or not at all; one that cannot be written does not keep the others from it.

        Raises:
            DatasetError, StorageError, UsageError: see `write_each`.
        """
        write_each(self.paths, lambda path: write_output(result, path, self.force))


def plan_outputs(found: Sequence[Input], out: Sequence[Path], formats: Sequence[str], force: bool) -> list[Plan]:
    """Name the files of every scan.

    Args:
        found: the scans.
        out: files to make of a single scan, or one folder.
        formats: endings of the files in a folder; none takes "nii.gz".
        force: replace existing files.

    Raises:
        UsageError: a file exists, is part of what any of the scans is predicted from, has an unknown ending, or cannot
            hold what a scan is; the output is a folder for a file, or a file for several scans.
    """
    if _is_folder(out):
        endings = dict.fromkeys(ending.lstrip(".") for ending in formats or _DEFAULT)
        plans = [Plan(each, tuple(out[0] / f"{each.name}.{ending}" for ending in endings), force) for each in found]
    else:
        if len(found) != 1:
            raise UsageError(
                f"There are {len(found)} scans, so the output must be one folder, with --format for the kind of file. "
                f"Received: {', '.join(map(str, out))}"
            )
        if formats:
            raise UsageError(
                "--format is for an output folder; a file's ending says what it is. Leave one of them out."
            )
        for path in out:
            format_of(path)
        plans = [Plan(found[0], tuple(dict.fromkeys(out)), force)]
    for plan in plans:
        for path in plan.paths:
            format_of(path).check(plan.scan, path)
    check_files([path for plan in plans for path in plan.paths], [scan.source for scan in found], force)
    return plans


def _is_folder(out: Sequence[Path]) -> bool:
    """Tell whether the output is a folder: one path, which is one, or whose name has no ending of a file's."""
    if len(out) != 1 or out[0].is_file():
        return False
    return out[0].is_dir() or not (out[0].suffix or out[0].name.lower().endswith(tuple(FORMATS)))
