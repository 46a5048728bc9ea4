"""Parts of a volume that hang together by faces, found slice by slice so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Parts:
    """The connected parts of a mask, numbered from 1 in the order of their first voxels, as SciPy numbers them.

    Only two slices are labelled at a time: labels of a whole volume would take four times the memory of the mask.

    Args:
        mask: bool (Z, H, W); must not change while parts are asked for.

    Attributes:
        sizes: int (parts + 1,), voxels of each; 0 of what is no part, which stands first.
        ends: int (parts + 1, 2), the first slice of each and that behind its last; 0 of what is no part.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask
        sizes, links = _pieces(mask)
        counts = [len(each) for each in sizes]
        slices = np.repeat(np.arange(len(mask)), counts)
        part = _joined(sum(counts), links)
        self.sizes = np.bincount(part, np.concatenate(sizes), minlength=1).astype(np.int64)
        self.ends = np.zeros((len(self.sizes), 2), np.int64)
        self.ends[1:, 0] = len(mask)
        np.minimum.at(self.ends[:, 0], part, slices)
        np.maximum.at(self.ends[:, 1], part, slices + 1)
        self._of_slice = [np.concatenate([[0], each]) for each in np.split(part, np.cumsum(counts)[:-1])]

    def chosen(self, keep: np.ndarray) -> Iterator[np.ndarray]:
        """Yield bool (H, W) of each slice: the parts that bool (parts + 1,) says."""
        from scipy import ndimage

        for plane, part in zip(self._mask, self._of_slice, strict=True):
            yield keep[part][ndimage.label(plane)[0]]


def _pieces(mask: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the sizes of the pieces of each slice, and int (n, 2): which of them touch, counted over all slices."""
    from scipy import ndimage

    sizes: list[np.ndarray] = []
    links = [np.zeros((0, 2), np.int64)]
    before: np.ndarray = np.zeros(mask.shape[1:], np.int32)
    start = 0
    for plane in mask:
        labels, count = ndimage.label(plane)
        touching = (before > 0) & plane
        pairs = np.unique(before[touching].astype(np.int64) * (count + 1) + labels[touching])
        behind = start - (len(sizes[-1]) if sizes else 0)
        links.append(np.stack([pairs // (count + 1) - 1 + behind, pairs % (count + 1) - 1 + start], axis=1))
        sizes.append(np.bincount(labels.ravel(), minlength=count + 1)[1:])
        before, start = labels, start + count
    return sizes, np.concatenate(links)


def _joined(count: int, links: np.ndarray) -> np.ndarray:
    """Return the number of the part, from 1, that each of so many pieces belongs to, in the order of first pieces."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not count:
        return np.zeros(0, np.int64)
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    _, found = connected_components(graph.tocsr(), directed=False)
    _, first, part = np.unique(found, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(1, len(first) + 1)
    return np.asarray(order[part])
