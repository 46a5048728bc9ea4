"""Overlap of a predicted with a reference mask, per case.

Answers for (reference, prediction) where one or both are empty:

| metric    | (empty, empty) | (empty, not) | (not, empty) |
|-----------|----------------|--------------|--------------|
| dice      | NaN            | 0            | 0            |
| iou       | NaN            | 0            | 0            |
| precision | NaN            | 0            | 0            |
| recall    | NaN            | NaN          | 0            |

NaN means that the case says nothing about this metric. Precision of an empty prediction on a case with a lesion is
counted as 0, so that a model is not rewarded for staying silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class Overlap:
    """Pixel counts of one case and the metrics they give.

    Args:
        true_positive, false_positive, false_negative: numbers of pixels.
    """

    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def dice(self) -> float:
        """2·TP / (2·TP + FP + FN), in [0, 1]. Source: Dice 1945, doi:10.2307/1932409."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]. Source: Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]; 0 for an empty prediction on a case with a lesion."""
        if self.true_positive + self.false_positive == 0 and self.false_negative > 0:
            return 0.0
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), in [0, 1]; NaN where the reference is empty."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)


def overlap(reference: np.ndarray, prediction: np.ndarray) -> Overlap:
    """Count agreeing and disagreeing pixels of two boolean masks of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"Masks differ in shape. Received: reference {reference.shape}, prediction {prediction.shape}")
    reference, prediction = reference.astype(bool), prediction.astype(bool)
    both = int(np.count_nonzero(reference & prediction))
    return Overlap(both, int(np.count_nonzero(prediction)) - both, int(np.count_nonzero(reference)) - both)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else NAN
