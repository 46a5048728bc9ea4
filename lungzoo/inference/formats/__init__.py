"""What `lungzoo predict` writes: one file for each kind, chosen by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lungzoo.data.files.write import check_free, write_whole
from lungzoo.errors import UsageError
from lungzoo.inference.formats import grids, overlay, report, seg
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        check: raises UsageError where a scan cannot be written so, or a package is missing.
        write: makes the file.
    """

    check: Callable[[Input, Path], None]
    write: Callable[[Path, Result], None]


FORMATS = {
    ".nii.gz": Format(grids.check, grids.write),
    ".nii": Format(grids.check, grids.write),
    ".nrrd": Format(grids.check, grids.write),
    ".mha": Format(grids.check, grids.write),
    ".dcm": Format(seg.check, seg.write),
    ".png": Format(overlay.check, overlay.write),
    ".json": Format(report.check, report.write),
}


def format_of(path: Path) -> Format:
    """Return the kind of file that a name means; raises UsageError for an unknown ending."""
    for suffix, kind in FORMATS.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise UsageError(f"Cannot write a prediction to '{path.name}'. Allowed endings: {', '.join(FORMATS)}.")


def check_output(found: Input, path: Path, force: bool) -> None:
    """Raise UsageError where a scan's prediction cannot be written to a path; nothing is predicted in vain."""
    format_of(path).check(found, path)
    try:
        check_free(path, force)
    except UsageError:
        way = "Choose another name." if path.is_dir() else "Choose another name, or replace it with --force."
        raise UsageError(f"{path} exists already. {way}") from None


def write_output(result: Result, path: Path, force: bool) -> None:
    """Write a prediction, whole or not at all.

    Raises:
        UsageError: the file exists and `force` is False.
        StorageError: it cannot be written.
    """
    write_whole(path, force, lambda partial: format_of(path).write(partial, result), "the prediction")
