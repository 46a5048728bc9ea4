"""One mask under every pair of smallest size and number of components, from one labelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungzoo.inference.components import Components
from lungzoo.inference.tuning.kept import Kept
from lungzoo.metrics.lesions import label_components


@dataclass(frozen=True)
class Parts:
    """The components of a mask, and what of each is in each case.

    Args:
        sizes: int (components,) pixels or voxels.
        predicted: int (cases, components) pixels in the case.
        hits: int (cases, components) those that are lesion.
    """

    sizes: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray

    def totals(self, unit: float, smallest: Sequence[float], largest: Sequence[int | None]) -> tuple[np.ndarray, ...]:
        """Return int (sizes, numbers, cases) twice: predicted pixels and those that are lesion.

        Args:
            unit: mm² of a pixel, or mm³ of a voxel; where NaN no component is too small.
            smallest: sizes from which components stay.
            largest: how many stay at most; None for all.
        """
        order = np.argsort(-self.sizes, kind="stable")
        keep = np.zeros((len(smallest), len(largest), len(self.sizes)), bool)
        for row, size in enumerate(smallest):
            enough = self.sizes * unit >= size * (1 - 1e-9) if np.isfinite(unit) else np.ones(len(order), bool)
            ranks = np.empty(len(order), int)
            ranks[order] = np.cumsum(enough[order]) - 1
            for column, count in enumerate(largest):
                keep[row, column] = enough if count is None else enough & (ranks < count)
        numbers = keep.astype(np.int64)
        return numbers @ self.predicted.T, numbers @ self.hits.T


def parts_of(mask: np.ndarray, kept: Kept, reference: np.ndarray, per_slice: bool) -> Parts:
    """Take a mask apart.

    Args:
        mask: uint8 (Z, Y, X) of the box.
        kept: its scan.
        reference: bool, the same shape.
        per_slice: components are those of each case's slice by itself; else of the volume.
    """
    return _of_slice(mask, kept, reference) if per_slice else _of_volume(mask, kept, reference)


def _of_slice(mask: np.ndarray, kept: Kept, reference: np.ndarray) -> Parts:
    (place,) = kept.places.tolist()
    labels = label_components(mask[place])
    sizes = np.bincount(labels.ravel())[1:]
    hits = np.bincount(labels[reference[place]], minlength=len(sizes) + 1)[1:]
    return Parts(sizes, sizes[None], hits[None])


def _of_volume(mask: np.ndarray, kept: Kept, reference: np.ndarray) -> Parts:
    components = Components(mask)
    cases = {place: number for number, place in enumerate(kept.places.tolist())}
    predicted, hits = np.zeros((2, len(cases), components.count), np.int64)
    for z, labels in components.slices():
        if z in cases:
            count = components.count + 1
            predicted[cases[z]] = np.bincount(labels.ravel(), minlength=count)[1:]
            hits[cases[z]] = np.bincount(labels[reference[z]], minlength=count)[1:]
    return Parts(components.voxels, predicted, hits)
