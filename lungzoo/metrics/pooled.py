"""Overlap of all pixels of all cases together (micro average), from summed counts.

Large lesions weigh more than small ones, and false positives on cases without a lesion count against Dice and
precision. Pooled figures are not means over cases and must not be compared with them.

Answers where all references, all predictions or both are empty:

| metric             | (empty, empty) | (empty, not)   | (not, empty) |
|--------------------|----------------|----------------|--------------|
| pooled_dice        | NaN            | 0              | 0            |
| pooled_iou         | NaN            | 0              | 0            |
| pooled_precision   | NaN            | 0              | 0            |
| pooled_recall      | NaN            | NaN            | 0            |
| pooled_specificity | 1              | TN / (TN + FP) | 1            |
"""

from __future__ import annotations

from dataclasses import dataclass

from lungzoo.metrics.overlap import Overlap
from lungzoo.metrics.pair import MaskPair


@dataclass(frozen=True)
class PooledOverlap:
    """Pixel counts summed over cases; counts of parts add up with `+`.

    Args:
        true_positive, false_positive, false_negative, true_negative: numbers of pixels.
        cases: number of cases.
    """

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0
    cases: int = 0

    @classmethod
    def of(cls, pair: MaskPair) -> PooledOverlap:
        """Return the counts of one case."""
        counts = pair.overlap
        return cls(counts.true_positive, counts.false_positive, counts.false_negative, pair.true_negative, 1)

    def __add__(self, other: PooledOverlap) -> PooledOverlap:
        return PooledOverlap(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
            self.cases + other.cases,
        )

    def figures(self) -> dict[str, float]:
        """Return pooled_dice, pooled_iou, pooled_precision, pooled_recall and pooled_specificity, in [0, 1] or NaN."""
        counts = Overlap(self.true_positive, self.false_positive, self.false_negative)
        outside = self.true_negative + self.false_positive
        return {
            "pooled_dice": counts.dice,
            "pooled_iou": counts.iou,
            "pooled_precision": counts.precision,
            "pooled_recall": counts.recall,
            "pooled_specificity": self.true_negative / outside if outside else float("nan"),
        }
