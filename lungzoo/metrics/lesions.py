"""Lesions as connected components, and when a predicted one hits a reference one.

Pixels that touch, diagonally too, belong to one component (8 neighbours in a slice, 26 in a volume).

A predicted component hits a reference component if their intersection over union is at least `HIT_IOU` = 0.1. The low
bound is the custom for lesions in medical images, where finding the place matters and outlines are uncertain, while a
mere touch is too little: a prediction that covers the whole lung touches every lesion. The rule is not one-to-one: a
predicted component that covers two lesions may hit both, and two fragments may both hit one lesion.

Source: Maier-Hein et al. 2024 (Metrics Reloaded), doi:10.1038/s41592-023-02151-z, localisation by mask IoU with a
cut-off that the task sets; Jaeger et al. 2020, arXiv:1811.08661, and Baumgartner et al. 2021, arXiv:2106.00817, who
set it to 0.1 for lesions, lung nodules among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HIT_IOU = 0.1


@dataclass(frozen=True, eq=False)
class LesionMatch:
    """Which components of two masks hit one another.

    Args:
        reference_hit: bool (m,), whether each reference component is hit by a predicted one.
        prediction_lesion: int (n,), for each predicted component the number (from 0) of the reference component that
            it hits with the highest IoU, -1 where it hits none.
    """

    reference_hit: np.ndarray
    prediction_lesion: np.ndarray

    @property
    def sensitivity(self) -> float:
        """Share of the reference components that are hit; NaN where there are none."""
        return float(self.reference_hit.mean()) if len(self.reference_hit) else float("nan")

    @property
    def false_positives(self) -> int:
        """Number of predicted components that hit nothing."""
        return int(np.count_nonzero(self.prediction_lesion < 0))


def label_components(mask: np.ndarray) -> np.ndarray:
    """Return int32, `mask`'s shape: 0 outside, 1, 2, … the connected components."""
    from scipy.ndimage import generate_binary_structure, label

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    labels, _ = label(mask, generate_binary_structure(mask.ndim, mask.ndim))
    return np.asarray(labels, np.int32)


def match_lesions(reference: np.ndarray, prediction: np.ndarray, hit_iou: float = HIT_IOU) -> LesionMatch:
    """Match the components of two masks.

    Args:
        reference, prediction: int, one shape: 0 outside, 1, 2, … the components.
        hit_iou: intersection over union from which a predicted component hits a reference one, in (0, 1].
    """
    reference_px, prediction_px = _sizes(reference), _sizes(prediction)
    hit, lesion = np.zeros(len(reference_px), bool), np.full(len(prediction_px), -1)
    rows, columns, shared_px = _overlapping(reference, prediction)
    iou = shared_px / (reference_px[rows] + prediction_px[columns] - shared_px)
    enough = iou >= hit_iou
    rows, columns, iou = rows[enough], columns[enough], iou[enough]
    hit[rows] = True
    # Later assignments win, so the highest IoU comes last and, among equals, the lowest number.
    order = np.lexsort((-rows, iou))
    lesion[columns[order]] = rows[order]
    return LesionMatch(hit, lesion)


def _sizes(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels[labels > 0])[1:] if labels.any() else np.zeros(0, np.int64)


def _overlapping(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of components (from 0) that share pixels, and how many; noise has few of all possible pairs."""
    shared = (reference > 0) & (prediction > 0)
    pairs = np.stack([reference[shared], prediction[shared]]).astype(np.int64) - 1
    width = int(pairs[1].max()) + 1 if pairs.size else 1
    keys, counts = np.unique(pairs[0] * width + pairs[1], return_counts=True)
    return keys // width, keys % width, counts
