"""Where a model looks: stacks of slices along z, tiles within a slice, and how what it answers is put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_OVERLAP = 0.25


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a slice, and how much each pixel counts: less towards an edge that another tile covers.

    Args:
        rows, columns: where it is.
        weight: float32 (h, w), above 0.
    """

    rows: slice
    columns: slice
    weight: np.ndarray


def make_tiles(box: tuple[slice, slice], tile_px: int | None) -> list[Tile]:
    """Cover a box with tiles of one size that overlap by at least a quarter.

    Args:
        box: rows and columns of a slice.
        tile_px: side of a tile; None, or a side no smaller than the box's, takes the box whole.
    """
    top, left = (each.start for each in box)
    shape_yx = [each.stop - each.start for each in box]
    sides = [min(tile_px or side, side) for side in shape_yx]
    starts = [_starts(length, side) for length, side in zip(shape_yx, sides, strict=True)]
    ramps = [ramp(side) if len(start) > 1 else np.ones(side) for side, start in zip(sides, starts, strict=True)]
    weight = np.outer(*ramps).astype(np.float32)
    return [
        Tile(slice(top + y, top + y + sides[0]), slice(left + x, left + x + sides[1]), weight)
        for y in starts[0]
        for x in starts[1]
    ]


def ramp(count: int) -> np.ndarray:
    """Return weights that fall from 1 in the middle towards both ends, float64 (count,), above 0."""
    middle = (count - 1) / 2
    return 1 - np.abs(np.arange(count) - middle) / (middle + 1)


def _starts(length: int, side: int) -> list[int]:
    """Return evenly spread starts of tiles, the first at 0 and the last flush with the end."""
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - _OVERLAP)))) + 1
    return [round(place) for place in np.linspace(0, length - side, count)]


def centres(wanted: np.ndarray, stacks: np.ndarray) -> np.ndarray:
    """Choose the slices that windows are put around, so that every wanted slice is in one.

    Args:
        wanted: bool (n,), slices that are to be predicted.
        stacks: int (n, depth), the slices of the window around each; see `data.pipeline.neighbours`. Windows advance by
            half of their depth, those of depth 1 by a slice.

    Returns:
        Rising row numbers.
    """
    count, depth = stacks.shape
    if depth == 1:
        return np.flatnonzero(wanted)
    rows = np.arange(count)
    last = stacks.max(axis=1) == rows  # where a run of neighbouring slices ends
    first = np.concatenate([[True], last[:-1]])
    since = rows - np.maximum.accumulate(np.where(first, rows, 0))
    on_grid = (since % (depth // 2) == 0) | last
    return rows[on_grid & wanted[stacks].any(axis=1)]


class Blend:
    """Adds up overlapping answers for slices, and hands out those to which nothing more will come.

    Args:
        shape_yx: of a slice.
    """

    def __init__(self, shape_yx: tuple[int, int]) -> None:
        self._shape = shape_yx
        self._sums: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, row: int, tile: Tile, answer: np.ndarray, weight: float = 1.0) -> None:
        """Take in (h, w) of one tile of a slice."""
        if row not in self._sums:
            self._sums[row] = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        total, weights = self._sums[row]
        total[tile.rows, tile.columns] += answer * (tile.weight * np.float32(weight))
        weights[tile.rows, tile.columns] += tile.weight * np.float32(weight)

    def ready(self, before: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (row, float32 (H, W)) of the slices below `before` in order, and forget them."""
        for row in sorted(row for row in self._sums if row < before):
            total, weights = self._sums.pop(row)
            yield row, total / np.maximum(weights, np.finfo(np.float32).tiny)
