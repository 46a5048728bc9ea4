"""Overlap: Dice, IoU, precision, recall, specificity.

Answers for (reference, prediction) where one or both are empty:

| metric      | (empty, empty) | (empty, not)      | (not, empty) |
|-------------|----------------|-------------------|--------------|
| dice        | NaN            | 0                 | 0            |
| iou         | NaN            | 0                 | 0            |
| precision   | NaN            | 0                 | 0            |
| recall      | NaN            | NaN               | 0            |
| specificity | 1              | TN / (TN + FP)    | 1            |

Specificity of a reference that fills the image is NaN: there is nothing to leave alone. It is near 1 for any
prediction that is small beside the image, so it says little about lesions in CT.
"""

from __future__ import annotations

from lungzoo.metrics.contract import MaskPair, case_metric


@case_metric("dice", title="Dice", better="higher", over="lesion")
def dice(pair: MaskPair) -> float:
    """Twice the shared area over the sum of both areas, 2·TP / (2·TP + FP + FN), in [0, 1].

    Source: Dice 1945, doi:10.2307/1932409.
    """
    return pair.overlap.dice


@case_metric("iou", title="IoU", better="higher", over="lesion")
def iou(pair: MaskPair) -> float:
    """Shared area over the area of the union, TP / (TP + FP + FN), in [0, 1].

    Source: Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    return pair.overlap.iou


@case_metric("precision", title="Precision", better="higher", over="lesion")
def precision(pair: MaskPair) -> float:
    """Share of the predicted area that is lesion, TP / (TP + FP), in [0, 1]."""
    return pair.overlap.precision


@case_metric("recall", title="Recall", better="higher", over="lesion")
def recall(pair: MaskPair) -> float:
    """Share of the lesion's area that is predicted, TP / (TP + FN), in [0, 1]."""
    return pair.overlap.recall


@case_metric("specificity", title="Specificity", better="higher", over="all", digits=4)
def specificity(pair: MaskPair) -> float:
    """Share of the area outside the lesion that is left alone, TN / (TN + FP), in [0, 1]."""
    outside = pair.reference.size - pair.reference_px
    return pair.true_negative / outside if outside else float("nan")
