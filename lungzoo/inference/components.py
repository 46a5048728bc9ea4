"""Connected components of a whole volume, found slice by slice so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lungzoo.metrics.lesions import label_components

_AROUND = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


class Components:
    """The components of a mask; voxels that touch, diagonally too, belong to one (26 neighbours).

    A labelled volume would take four times the memory of its mask. Kept are the components of each slice under the
    numbers that they have in the volume; a slice is labelled anew when it is asked for.

    Args:
        mask: bool or uint8 (Z, Y, X); not copied, and not to be changed while this is in use.

    Attributes:
        count: how many there are, numbered 1, 2, … by their first slice.
        voxels: int64 (count,), how large each is.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask
        self._filled = np.flatnonzero([bool(plane.any()) for plane in mask])
        self._first: dict[int, int] = {}
        sizes, links, total = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)], 0
        below, below_z = np.zeros((0, 0), np.int32), -2
        for z in self._filled.tolist():
            labels = label_components(mask[z])
            self._first[z] = total
            sizes.append(np.bincount(labels.ravel())[1:])
            if below_z == z - 1:
                links.append(_touching(below, labels) + np.array([self._first[below_z], total]))
            total += len(sizes[-1])
            below, below_z = labels, z
        self._numbers = _joined(total, np.concatenate(links))
        self.count = int(self._numbers.max(initial=-1)) + 1
        self.voxels = np.bincount(self._numbers, np.concatenate(sizes), self.count).astype(np.int64)

    def slices(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (z, int32 (Y, X)) of the slices that are not empty: 0 outside, else the component's number."""
        for z in self._filled.tolist():
            labels = label_components(self._mask[z])
            first = self._first[z]
            here = self._numbers[first : first + int(labels.max())] + 1
            yield z, np.concatenate([[0], here]).astype(np.int32)[labels]


def keep_components(mask: np.ndarray, keep: np.ndarray, components: Components) -> np.ndarray:
    """Return the mask without some of its components.

    Args:
        mask: bool or uint8 (Z, Y, X).
        keep: bool (count,).
        components: of `mask`.

    Returns:
        Like `mask`; itself where all are kept.
    """
    if keep.all():
        return mask
    kept = np.zeros_like(mask)
    chosen = np.concatenate([[False], keep])
    for z, labels in components.slices():
        kept[z] = chosen[labels]
    return kept


def _touching(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return (n, 2): pairs of components, from 0, of a slice and the next that share or neighbour a pixel."""
    y, x = np.nonzero(lower)
    padded = np.pad(upper, 1)
    below, width = lower[y, x].astype(np.int64), int(upper.max(initial=0)) + 1
    # A pair as one number: rows of two would be sorted many times slower.
    keys = np.unique(np.concatenate([np.unique(below * width + padded[y + 1 + dy, x + 1 + dx]) for dy, dx in _AROUND]))
    found = np.stack([keys // width, keys % width], axis=1)
    return found[found[:, 1] > 0] - 1


def _joined(count: int, links: np.ndarray) -> np.ndarray:
    """Return for each of `count` parts the number, from 0, of the component that its links make it part of."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not count:
        return np.zeros(0, np.int64)
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    numbers = connected_components(graph, directed=False)[1]
    # Numbered by first occurrence, whatever order the graph was walked in.
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return np.asarray(ranks[inverse], np.int64)
