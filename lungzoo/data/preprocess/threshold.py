"""The grey value between what is dark and what is bright, found slice by slice so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_ROUNDS = 50
_CLOSE = 0.5
_BLOCK = 1 << 18
"""Values that NumPy adds in one call; more than the 128 up to which it does not halve them."""


def optimal_threshold(image: np.ndarray) -> float:
    """Return the grey value midway between the means of what is darker and what is brighter than it.

    Args:
        image: any shape, in HU or 8 bits; needs dark and bright parts.
    """
    image = np.asarray(image)
    planes = image.reshape(-1, *image.shape[-2:]) if image.ndim > 2 else image[np.newaxis]
    threshold = float(np.float32(image.min()) + np.float32(image.max())) / 2
    for _ in range(_ROUNDS):
        count = sum(int(np.count_nonzero(dark)) for _, dark in _halved(planes, threshold))
        if count in (0, image.size):
            return threshold
        low = _mean((values[dark] for values, dark in _halved(planes, threshold)), count)
        high = _mean((values[~dark] for values, dark in _halved(planes, threshold)), image.size - count)
        better = float(low + high) / 2
        if abs(better - threshold) < _CLOSE:
            return better
        threshold = better
    return threshold


def _halved(planes: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each slice as float32 (n,), and bool (n,): what of it is dark."""
    for plane in planes:
        values = np.asarray(plane, np.float32).ravel()
        yield values, values <= threshold


def _mean(parts: Iterator[np.ndarray], count: int) -> np.float32:
    """Return the mean of `count` float32 that come in parts, to the last bit as NumPy gives it of all at once."""
    return np.float32(_sum(_reader(parts), count) / np.intp(count))


def _sum(read: Callable[[int], np.ndarray], count: int) -> np.float32:
    """Add pairwise, as NumPy does: in halves, the first of them a multiple of eight long."""
    if count <= _BLOCK:
        return np.float32(np.add.reduce(read(count)))
    first = count // 2
    first -= first % 8
    return np.float32(_sum(read, first) + _sum(read, count - first))


def _reader(parts: Iterator[np.ndarray]) -> Callable[[int], np.ndarray]:
    """Return a function that gives the next so many values of parts."""
    kept = np.empty(0, np.float32)

    def read(count: int) -> np.ndarray:
        nonlocal kept
        waiting, length = [kept], len(kept)
        while length < count:
            waiting.append(next(parts))
            length += len(waiting[-1])
        joined = np.concatenate(waiting) if len(waiting) > 1 else kept
        kept = joined[count:]
        return joined[:count]

    return read
