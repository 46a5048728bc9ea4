"""A short signature of the middle of a slice, and the search for slices whose signatures agree.

The signature is a perceptual hash (the low frequencies of a cosine transform) that keeps its numbers in place of their
signs: the inner product of two signatures is then a correlation, which tells more than a Hamming distance, and matrix
products find it. The middle of one slice is compared with every place of the other that it can have moved to; mirroring
only changes the signs of odd frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lungzoo.data.near.detail import CELLS

MIDDLE = 40
"""Side of the part of a map that is compared, in cells; what is left is the largest shift that is found."""
MARGIN = (CELLS - MIDDLE) // 2
_STEP = 2
_FREQUENCIES = 8
_BLOCK = 1024
FLIPS = ((False, False), (False, True), (True, False), (True, True))
"""Mirrored (up-down, left-right)."""


@dataclass(frozen=True)
class Candidates:
    """Pairs that may show the same picture.

    Args:
        first, second: row numbers in the one and the other set of maps.
        flip: index in FLIPS of the mirroring that fits best.
    """

    first: np.ndarray
    second: np.ndarray
    flip: np.ndarray

    def take(self, places: np.ndarray | slice) -> Candidates:
        """Return some of the pairs."""
        return Candidates(self.first[places], self.second[places], self.flip[places])

    def batches(self, size: int) -> Iterator[Candidates]:
        """Yield the pairs, at most `size` at a time."""
        for start in range(0, len(self.first), size):
            yield self.take(slice(start, start + size))


def candidates(
    maps: np.ndarray,
    others: np.ndarray | None,
    least: float,
    groups: tuple[np.ndarray, np.ndarray],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Candidates]:
    """Yield pairs whose signatures agree, block by block; memory does not grow with the number of slices.

    Args:
        maps: float32 (N, 64, 64), see `coarse_maps`.
        others: the other set; None searches within `maps`, each pair once.
        least: smallest agreement, in [-1, 1].
        groups: of each row of either set; pairs of one group are passed over.
        progress: called with (blocks done, in all).
    """
    within = others is None
    others = maps if others is None else others
    middles = signatures(maps, 0, 0)
    corners = [
        (left, right)
        for right in range(0, len(others), _BLOCK)
        for left in range(0, right + 1 if within else len(maps), _BLOCK)
    ]
    ready = -1
    for done, (left, right) in enumerate(corners, 1):
        skip = groups[0][left : left + _BLOCK, None] == groups[1][None, right : right + _BLOCK]
        if within and left == right:
            skip |= np.tri(*skip.shape, dtype=np.bool_)
        if not skip.all():
            if ready != right:
                places, ready = _moved(others[right : right + _BLOCK]), right
            yield _search(middles[left : left + _BLOCK], places, least, skip, left, right)
        if progress:
            progress(done, len(corners))


def signatures(maps: np.ndarray, down: int, across: int) -> np.ndarray:
    """Return unit vectors float32 (n, 64) of the maps' middles, moved by some cells; zeros where nothing stands out."""
    top, left = MARGIN + down, MARGIN + across
    part = maps[:, top : top + MIDDLE, left : left + MIDDLE]
    basis = _cosines()
    waves = np.matmul(np.matmul(basis, part), basis.T)
    # Low frequencies are stronger in every slice and so tell slices apart less.
    waves *= np.sqrt(np.hypot(*np.mgrid[:_FREQUENCIES, :_FREQUENCIES])).astype(np.float32)
    flat = waves.reshape(len(maps), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-3)


def _moved(maps: np.ndarray) -> np.ndarray:
    """Return (shifts, 64, n): the signatures of every place that a middle can have moved to."""
    offsets = range(-MARGIN, MARGIN + 1, _STEP)
    return np.stack([signatures(maps, down, across).T for down in offsets for across in offsets])


def _search(
    middles: np.ndarray, places: np.ndarray, least: float, skip: np.ndarray, left: int, right: int
) -> Candidates:
    best = np.where(skip, np.float32(np.inf), np.float32(least))
    flips = np.zeros(best.shape, np.uint8)
    agreement = np.empty_like(best)
    for number, signs in enumerate(_signs()):
        mirrored = middles * signs
        for place in places:
            np.matmul(mirrored, place, out=agreement)
            better = np.flatnonzero(agreement > best)
            best.flat[better] = agreement.flat[better]
            flips.flat[better] = number
    first, second = np.nonzero((best > least) & ~skip)
    return Candidates(first + left, second + right, flips[first, second])


def _cosines() -> np.ndarray:
    """Return the orthonormal cosine basis, float32 (8, 40)."""
    order, cell = np.mgrid[:_FREQUENCIES, :MIDDLE]
    basis = np.sqrt(2 / MIDDLE) * np.cos(np.pi * order * (cell + 0.5) / MIDDLE)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def _signs() -> list[np.ndarray]:
    """Return for each of FLIPS the factors (64,) of a signature."""
    odd = np.where(np.arange(_FREQUENCIES) % 2, -1, 1).astype(np.float32)
    plain = np.ones_like(odd)
    return [np.outer(odd if up_down else plain, odd if sideways else plain).ravel() for up_down, sideways in FLIPS]
