"""Which slices are near-duplicates of which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from lungzoo.data.near.detail import coarse_maps, fine_maps
from lungzoo.data.near.signature import FLIPS, Candidates, candidates
from lungzoo.data.near.verify import correlate
from lungzoo.events import Progress

METHOD = 1
"""Raise this when a change alters which pairs are found."""
_SIGNATURE, _COARSE, _FINE = 0.75, 0.7, 0.73
_BATCH = 256


@dataclass(frozen=True)
class Pictures:
    """Slices to compare.

    Args:
        images: (N, H, W); stays on disk where it is memory-mapped.
        units: "hu" or "uint8".
        rows: (n,) which of them, each once.
        groups: int (n,); slices of one group are not compared with each other.
    """

    images: np.ndarray
    units: str
    rows: np.ndarray
    groups: np.ndarray

    def ordered(self) -> Pictures:
        """Return the same slices with those of one group side by side, so that whole blocks can be passed over."""
        order = np.argsort(self.groups, kind="stable")
        return Pictures(self.images, self.units, self.rows[order], self.groups[order])

    def coarse(self) -> np.ndarray:
        """Return float32 (n, 64, 64), see `coarse_maps`."""
        parts = [self.rows[start : start + _BATCH] for start in range(0, len(self.rows), _BATCH)]
        return np.concatenate([coarse_maps(self.images[part], self.units) for part in parts])

    def fine(self, places: np.ndarray) -> np.ndarray:
        """Return float32 (k, 128, 128) of the slices at these places, each computed once."""
        once, back = np.unique(places, return_inverse=True)
        return fine_maps(self.images[self.rows[once]], self.units)[back]


@dataclass(frozen=True)
class NearPair:
    """Two slices that show the same picture.

    Args:
        first, second: row numbers.
        correlation: of their fine structure where they overlap, in [-1, 1].
        shift_px: (down, right) in pixels of a slice stretched to 128×128.
        flip: the second is mirrored (up-down, left-right).
    """

    first: int
    second: int
    correlation: float
    shift_px: tuple[int, int]
    flip: tuple[bool, bool]


def find_near(one: Pictures, other: Pictures | None = None, progress: Progress | None = None) -> list[NearPair]:
    """Find slices that are the same up to shifts, mirroring, another window and another compression.

    Shifts reach 24 pixels of a slice stretched to 128×128. Three sieves, each finer and slower than the one before:
    signatures, coarse structure, fine structure. benchmarks/accuracy/near_duplicates.py measures what they let through.

    Args:
        one: slices.
        other: slices to compare them with; None compares `one` with itself, each pair once.
        progress: called with (blocks of pairs done, in all).

    Returns:
        The pairs, by falling correlation.
    """
    if not len(one.rows) or (other is not None and not len(other.rows)):
        return []
    one = one.ordered()
    second = one if other is None else other.ordered()
    maps = one.coarse()
    others = maps if other is None else second.coarse()
    with _one_thread():
        blocks = candidates(maps, None if other is None else others, _SIGNATURE, (one.groups, second.groups), progress)
        found = [pair for block in blocks for pair in _verified(block, one, second, maps, others)]
    return sorted(found, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _one_thread() -> AbstractContextManager[object]:
    """Keep matrix products on one thread: they are small, and on a busy machine their threads wait for each other."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def _verified(
    block: Candidates, one: Pictures, second: Pictures, maps: np.ndarray, others: np.ndarray
) -> Iterator[NearPair]:
    for part in block.batches(_BATCH):
        score, _ = correlate(maps[part.first], others[part.second], part.flip)
        part = part.take(np.flatnonzero(score >= _COARSE))
        if not len(part.first):
            continue
        score, moved = correlate(one.fine(part.first), second.fine(part.second), part.flip)
        for k in np.flatnonzero(score >= _FINE):
            yield NearPair(
                int(one.rows[part.first[k]]),
                int(second.rows[part.second[k]]),
                round(float(score[k]), 4),
                (int(moved[k, 0]), int(moved[k, 1])),
                FLIPS[part.flip[k]],
            )
