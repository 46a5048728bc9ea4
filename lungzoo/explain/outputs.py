"""The files of an explanation; all of them are checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungzoo.data.files.write import WRITERS, check_free, check_package, check_writable, write_whole, writer_of
from lungzoo.data.geometry import from_axial
from lungzoo.errors import LungzooError, StorageError, UsageError
from lungzoo.explain import picture
from lungzoo.explain.run import Explanation
from lungzoo.inference.inputs import Input


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        write: makes it.
        needs_grid: only for scans that lie in a patient.
    """

    write: Callable[[Path, Explanation], None]
    needs_grid: bool = False


def write_array(path: Path, explanation: Explanation) -> None:
    """Write the map of the slice, float32 (Y, X), NaN where nothing was looked at."""
    with path.open("wb") as file:
        np.save(file, explanation.heat.values.astype(np.float32), allow_pickle=False)


def write_grid(path: Path, explanation: Explanation) -> None:
    """Write float32 on the grid of the source; 0 in the other slices and where nothing was looked at."""
    result, values = explanation.result, explanation.heat.values
    assert result.volume.info is not None
    whole = np.zeros(result.volume.shape_zyx, np.float32)
    whole[explanation.place.z] = np.nan_to_num(values, nan=0.0)
    grid = result.volume.info.source_geometry
    writer_of(path)(path, from_axial(whole, grid.code), grid)


FORMATS = {
    ".png": Format(picture.write),
    ".npy": Format(write_array),
    **{suffix: Format(write_grid, needs_grid=True) for suffix in WRITERS},
}


def format_of(path: Path) -> Format:
    """Return the kind of file that a name means; raises UsageError for an unknown ending."""
    for suffix, kind in FORMATS.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise UsageError(f"Cannot write an explanation to '{path.name}'. Allowed endings: {', '.join(FORMATS)}.")


def check_outputs(found: Input, paths: Sequence[Path], force: bool) -> None:
    """Raise UsageError where a file exists, has an unknown ending, cannot be written, or needs a grid or a package."""
    for path in paths:
        if format_of(path).needs_grid:
            _check_grid(found, path)
        try:
            check_free(path, force)
        except UsageError:
            way = "Choose another name." if path.is_dir() else "Choose another name, or replace it with --force."
            raise UsageError(f"{path} exists already. {way}") from None
        if path.exists() and found.source.resolve() in (path.resolve(), *path.resolve().parents):
            raise UsageError(f"{path} is part of what is explained, and is not replaced. Choose another name.")
        check_writable(path)


def write_outputs(explanation: Explanation, paths: Sequence[Path], force: bool) -> None:
    """Write the files, each whole or not at all and each named once; raises StorageError where some cannot be."""
    faults: list[LungzooError] = []
    for path in dict.fromkeys(paths):
        try:
            write_whole(path, force, lambda partial: format_of(partial).write(partial, explanation), "the explanation")
        except LungzooError as error:  # the others are written
            faults.append(error)
    if faults:
        raise StorageError("\n".join(map(str, faults)))


def _check_grid(found: Input, path: Path) -> None:
    if not found.has_grid:
        raise UsageError(
            f"{found.source} has no grid in a patient, so its map cannot be written to '{path.name}'. Allowed: "
            ".png, .npy."
        )
    check_package(path)
