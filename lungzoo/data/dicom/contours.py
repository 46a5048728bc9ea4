"""Closed polygons to pixels: a pixel is inside where its centre is, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def fill(polygons: Iterable[np.ndarray], shape_px: tuple[int, int]) -> np.ndarray:
    """Return which pixel centres lie inside polygons.

    A centre inside an even number of outlines is outside, so an outline within another is a hole, and the bridge of a
    keyhole, drawn there and back, leaves no trace. A centre on an edge belongs to the polygon on its right or below, so
    that neighbours that share the edge neither overlap nor leave a gap.

    Args:
        polygons: each (n, 2) float, corners as (x, y) in pixels, whole numbers at the centres; closed by itself.
        shape_px: (rows, columns).

    Returns:
        (rows, columns) bool.
    """
    rows, columns = shape_px
    turns = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        row, x = _crossings(np.asarray(polygon, float), rows)
        np.add.at(turns, (row, np.clip(np.ceil(x), 0, columns).astype(np.int64)), 1)
    return (np.cumsum(turns, axis=1)[:, :columns] & 1).astype(bool)


def crossing_count(polygon: np.ndarray, rows: int) -> int:
    """Return about how many rows of pixels the edges of a polygon (n, 2) cross: what drawing it costs."""
    y = np.clip(np.asarray(polygon, float)[:, 1], 0, rows)
    return len(y) + int(np.abs(y - np.roll(y, -1)).sum())


def shoelace_area(polygon: np.ndarray) -> float:
    """Return the area inside a polygon (n, 2) that does not cross itself, in the square of its unit."""
    x, y = np.asarray(polygon, float).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _crossings(polygon: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where edges cross the centre lines of pixel rows: the row, and x."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    upward = start[:, 1] > end[:, 1]
    start, end = np.where(upward[:, None], end, start), np.where(upward[:, None], start, end)
    first = np.clip(np.ceil(start[:, 1]), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(end[:, 1]), 0, rows).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(polygon)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    return row, start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
