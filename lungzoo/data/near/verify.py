"""Normalised correlation of the middle of one slice with every place of another."""

from __future__ import annotations

import numpy as np

from lungzoo.data.near.detail import CELLS, SIDE
from lungzoo.data.near.signature import FLIPS, MARGIN


def correlate(maps: np.ndarray, others: np.ndarray, flips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Align pairs of maps and say how well they agree.

    Args:
        maps, others: float32 (n, S, S), both coarse or both fine.
        flips: int (n,): how each of `others` is mirrored first, an index in FLIPS.

    Returns:
        The largest normalised correlation of each pair in [-1, 1], (n,), and how far the first's middle has moved in
        the mirrored second, (n, 2) in pixels of 128, (down, right).

    Source: J. P. Lewis, Fast Normalized Cross-Correlation, 1995.
    """
    from scipy.fft import irfft2, rfft2

    side = maps.shape[1]
    margin = side * MARGIN // CELLS
    middle, places = side - 2 * margin, 2 * margin + 1
    template = maps[:, margin : margin + middle, margin : margin + middle]
    template = template - template.mean((1, 2), keepdims=True)
    mirrored = _mirror(others, flips)
    spectrum = np.conj(rfft2(template, (side, side))) * rfft2(mirrored)
    product = irfft2(spectrum, (side, side))[:, :places, :places]
    spread = np.sqrt(np.square(template).sum((1, 2)))[:, None, None] * _spread(mirrored, middle)
    score = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-3)
    flat = score.reshape(len(score), -1)
    best = flat.argmax(1)
    moved = np.stack(np.unravel_index(best, (places, places)), 1) - margin
    return flat[np.arange(len(flat)), best], moved * SIDE // side


def _mirror(maps: np.ndarray, flips: np.ndarray) -> np.ndarray:
    mirrored = maps.copy()
    for number, (up_down, sideways) in enumerate(FLIPS):
        mine = flips == number
        mirrored[mine] = maps[mine][:, :: -1 if up_down else 1, :: -1 if sideways else 1]
    return mirrored


def _spread(maps: np.ndarray, window: int) -> np.ndarray:
    """Return the root of the summed squared deviations within each window of a map."""
    total, squares = _window_sums(maps, window), _window_sums(np.square(maps), window)
    return np.asarray(np.sqrt(np.maximum(squares - total**2 / window**2, 0)), np.float32)


def _window_sums(values: np.ndarray, window: int) -> np.ndarray:
    table = np.pad(values.cumsum(1, np.float64).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    low, high = slice(0, -window), slice(window, None)
    return np.asarray(table[:, high, high] - table[:, low, high] - table[:, high, low] + table[:, low, low])
