"""What `lungzoo predict` writes: one file for each kind, chosen by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lungzoo.data.files.write import write_whole
from lungzoo.inference.files import kind_of
from lungzoo.inference.formats import grids, overlay, report, seg
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        check: raises UsageError where a scan cannot be written so, or a package is missing.
        write: makes the file.
        check_volume: raises DatasetError, which need not name the source, where a scan that was read cannot be written.
    """

    check: Callable[[Input, Path], None]
    write: Callable[[Path, Result], None]
    check_volume: Callable[[Volume], None] = lambda volume: None


FORMATS = {
    ".nii.gz": Format(grids.check, grids.write),
    ".nii": Format(grids.check, grids.write),
    ".nrrd": Format(grids.check, grids.write),
    ".mha": Format(grids.check, grids.write),
    ".dcm": Format(seg.check, seg.write, seg.check_volume),
    ".png": Format(overlay.check, overlay.write),
    ".json": Format(report.check, report.write),
}


def format_of(path: Path) -> Format:
    """Return the kind of file that a name means; raises UsageError for an unknown ending."""
    return kind_of(path, FORMATS, "a prediction")


def write_output(result: Result, path: Path, force: bool) -> None:
    """Write a prediction, whole or not at all.

    Raises:
        UsageError: the file exists and `force` is False.
        StorageError: it cannot be written.
    """
    write_whole(path, force, lambda partial: format_of(path).write(partial, result), "the prediction")
