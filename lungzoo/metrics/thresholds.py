"""What would another threshold give? Pooled and per-case figures at a row of thresholds, from one pass.

Each probability falls between two thresholds; counting the pixels there, lesion and not, gives the counts at every
threshold as sums from above. Counts of cases add up, so that any number of cases needs the memory of one.

Answers for (reference, prediction) where one or both are empty: of a case as in `lungzoo.metrics.overlap`, but a case
without a lesion counts into `marked_rate`, not into `mean_dice`; of all cases together as in `lungzoo.metrics.pooled`.

A threshold must be chosen on the validation split: chosen on the test split, it flatters the test score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.overlap import Overlap
from lungzoo.metrics.probabilities import check_probabilities

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class ThresholdFigures:
    """The figures at one threshold.

    Args:
        threshold: probability from which a pixel counts as predicted.
        mean_dice: mean over the cases with a lesion; NaN where there are none.
        marked_rate: share of the cases without a lesion where any pixel is predicted; NaN where there are none.
        pooled_dice, pooled_precision, pooled_recall: of all pixels of all cases.
    """

    threshold: float
    mean_dice: float
    marked_rate: float
    pooled_dice: float
    pooled_precision: float
    pooled_recall: float


@dataclass(frozen=True)
class ThresholdCounts:
    """Sums at each of a row of thresholds; sums of parts add up with `+`.

    Args:
        thresholds: rising, in (0, 1).
        true_positive, false_positive: predicted pixels inside and outside the lesions, at each threshold.
        lesion_px: lesion pixels of all cases.
        dice_sum: sum of the Dice of the lesion cases, at each threshold.
        marked: number of empty cases with any predicted pixel, at each threshold.
        lesion_cases, empty_cases: how many cases there are of either kind.
    """

    thresholds: tuple[float, ...]
    true_positive: tuple[int, ...]
    false_positive: tuple[int, ...]
    lesion_px: int
    dice_sum: tuple[float, ...]
    marked: tuple[int, ...]
    lesion_cases: int
    empty_cases: int

    @classmethod
    def of(
        cls,
        probability: np.ndarray,
        reference: np.ndarray,
        thresholds: Sequence[float] = THRESHOLDS,
        min_lesion_px: int = 1,
    ) -> ThresholdCounts:
        """Count one case.

        Args:
            probability: floating, any shape, in [0, 1].
            reference: bool, the same shape.
            thresholds: rising, in (0, 1).
            min_lesion_px: smallest reference that counts as a lesion case; a smaller one counts into the pooled
                figures only, as its case says little.

        Raises:
            UsageError: not probabilities, shapes that differ, or thresholds that are out of order or range.
        """
        check_probabilities(probability, reference)
        row = _check_thresholds(thresholds)
        hits = _at_or_above(probability[reference], row)
        false = _at_or_above(probability[~reference], row)
        lesion_px = int(np.count_nonzero(reference))
        is_lesion, is_empty = lesion_px >= max(1, min_lesion_px), lesion_px == 0
        dice = 2 * hits / (hits + false + lesion_px) if is_lesion else np.zeros(len(row))
        marked = (false > 0) if is_empty else np.zeros(len(row), int)
        return cls(
            row,
            tuple(hits.tolist()),
            tuple(false.tolist()),
            lesion_px,
            tuple(dice.tolist()),
            tuple(marked.astype(int).tolist()),
            int(is_lesion),
            int(is_empty),
        )

    def __add__(self, other: ThresholdCounts) -> ThresholdCounts:
        if self.thresholds != other.thresholds:
            raise UsageError(
                f"Counts at the thresholds {self.thresholds} and {other.thresholds} do not add up. "
                "Count again with one row of thresholds."
            )
        return ThresholdCounts(
            self.thresholds,
            tuple(a + b for a, b in zip(self.true_positive, other.true_positive, strict=True)),
            tuple(a + b for a, b in zip(self.false_positive, other.false_positive, strict=True)),
            self.lesion_px + other.lesion_px,
            tuple(a + b for a, b in zip(self.dice_sum, other.dice_sum, strict=True)),
            tuple(a + b for a, b in zip(self.marked, other.marked, strict=True)),
            self.lesion_cases + other.lesion_cases,
            self.empty_cases + other.empty_cases,
        )

    def curve(self) -> list[ThresholdFigures]:
        """Return the figures at each threshold, in their order."""
        return [self._figures(place) for place in range(len(self.thresholds))]

    def _figures(self, place: int) -> ThresholdFigures:
        hits, false = self.true_positive[place], self.false_positive[place]
        pooled = Overlap(hits, false, self.lesion_px - hits)
        return ThresholdFigures(
            self.thresholds[place],
            self.dice_sum[place] / self.lesion_cases if self.lesion_cases else float("nan"),
            self.marked[place] / self.empty_cases if self.empty_cases else float("nan"),
            pooled.dice,
            pooled.precision,
            pooled.recall,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ThresholdCounts:
        """Return the counts that `to_dict` wrote; raises UsageError for anything else."""
        try:
            counts = cls(
                _check_thresholds([float(value) for value in values["thresholds"]]),
                tuple(int(count) for count in values["true_positive"]),
                tuple(int(count) for count in values["false_positive"]),
                int(values["lesion_px"]),
                tuple(float(total) for total in values["dice_sum"]),
                tuple(int(count) for count in values["marked"]),
                int(values["lesion_cases"]),
                int(values["empty_cases"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"These are no threshold counts: {type(error).__name__} {error}.") from None
        rows = (counts.true_positive, counts.false_positive, counts.dice_sum, counts.marked)
        if any(len(row) != len(counts.thresholds) for row in rows):
            raise UsageError("These are no threshold counts: the lists differ in length.")
        return counts


def _check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    row = tuple(float(value) for value in thresholds)
    rising = all(low < high for low, high in pairwise(row))
    if not row or not rising or not all(0 < value < 1 for value in row):
        raise UsageError(f"Thresholds must rise and lie between 0 and 1. Received: {row}.")
    return row


def _at_or_above(probability: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """Return int (T,): how many probabilities reach each threshold, compared in their own precision."""
    edges = np.asarray(thresholds, probability.dtype)
    reached = np.searchsorted(edges, probability, side="right")
    return np.bincount(reached, minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
