"""The files of an explanation; all of them are checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungzoo.data.files.write import WRITERS, check_package, write_whole, writer_of
from lungzoo.data.geometry import from_axial
from lungzoo.errors import UsageError
from lungzoo.explain import picture
from lungzoo.explain.run import Explanation
from lungzoo.inference.files import check_files, kind_of, write_each
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
    return kind_of(path, FORMATS, "an explanation")


def check_outputs(found: Input, paths: Sequence[Path], force: bool) -> None:
    """Raise UsageError for what `check_files` refuses, an unknown ending, or where a grid or a package is missing."""
    for path in paths:
        if format_of(path).needs_grid:
            _check_grid(found, path)
    check_files(paths, [found.source], force)


def write_outputs(explanation: Explanation, paths: Sequence[Path], force: bool) -> None:
    """Write the files, each whole or not at all and each named once; raises what `write_each` does."""

    def write(path: Path) -> None:
        write_whole(path, force, lambda partial: format_of(partial).write(partial, explanation), "the explanation")

    write_each(dict.fromkeys(paths), write)


def _check_grid(found: Input, path: Path) -> None:
    if not found.has_grid:
        raise UsageError(
            f"{found.source} has no grid in a patient, so its map cannot be written to '{path.name}'. Allowed: "
            ".png, .npy."
        )
    check_package(path)
