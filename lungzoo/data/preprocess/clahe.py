"""Contrast-limited adaptive histogram equalisation."""

from __future__ import annotations

import numpy as np

_BINS = 256


def clahe(image: np.ndarray, tiles: int = 8, clip: float = 2.0) -> np.ndarray:
    """Spread the grey values of each part of a slice over the whole range, without blowing up noise.

    Args:
        image: (H, W) in [0, 1].
        tiles: the slice is cut into this many parts along each axis; between their middles the result is interpolated.
        clip: largest count of a histogram's bin, in units of the mean count; what is above is given to all bins alike.

    Returns:
        float32 (H, W) in [0, 1].

    Source: Zuiderveld 1994, Contrast limited adaptive histogram equalization, Graphics Gems IV, 474-485.
    """
    bins = np.minimum((np.asarray(image, np.float32) * _BINS).astype(np.int64), _BINS - 1)
    edges = [np.linspace(0, side, tiles + 1).astype(int) for side in image.shape]
    curves = np.empty((tiles, tiles, _BINS), np.float32)
    for row in range(tiles):
        for column in range(tiles):
            part = bins[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
            curves[row, column] = _curve(part, clip)
    (top, bottom, down), (left, right, across) = (_between(side, tiles) for side in image.shape)
    upper, lower = (
        curves[rows[:, None], left[None], bins] * (1 - across) + curves[rows[:, None], right[None], bins] * across
        for rows in (top, bottom)
    )
    return np.asarray(upper * (1 - down[:, None]) + lower * down[:, None], np.float32)


def _curve(bins: np.ndarray, clip: float) -> np.ndarray:
    """Return the cumulative share of pixels up to each bin, (256,), after clipping."""
    counts = np.bincount(bins.ravel(), minlength=_BINS).astype(np.float64)
    total = max(counts.sum(), 1.0)
    limit = clip * total / _BINS
    excess = np.maximum(counts - limit, 0).sum()
    return np.cumsum(np.minimum(counts, limit) + excess / _BINS) / total


def _between(side: int, tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for every pixel of an axis, the tiles before and after it and how far it is between their middles."""
    place = np.clip((np.arange(side) + 0.5) * tiles / side - 0.5, 0, tiles - 1)
    before = np.floor(place).astype(int)
    return before, np.minimum(before + 1, tiles - 1), (place - before).astype(np.float32)
