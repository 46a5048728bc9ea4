"""Are predicted probabilities as often right as they say? Expected calibration error, Brier score, reliability curve.

All are of pixels, lesion against the rest, from counts per bin that add up, so that any number of cases needs the
memory of one. Most pixels of a CT slice are far from any lesion and easy, so the figures are small; compare them
between models on the same cases, not with other tasks.

Answers where all references, all predictions (probability 0 everywhere) or both are empty: none is special. A perfect
(empty, empty) has 0 for both; (empty, not) has the mean probability as calibration error and the mean squared
probability as Brier score; (not, empty) has the share of lesion pixels for both. Without any pixel both are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.probabilities import check_probabilities

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """One point of the reliability curve.

    Args:
        low, high: ends of the bin; `high` belongs to the next one, but 1 to the last.
        pixels: how many fell into it, above 0.
        confidence: their mean probability.
        frequency: share of them that are lesion.
    """

    low: float
    high: float
    pixels: int
    confidence: float
    frequency: float


@dataclass(frozen=True)
class CalibrationCounts:
    """Counts per bin of equal width; counts of parts add up with `+`.

    Args:
        pixels: number of pixels in each bin.
        lesion_px: how many of them are lesion.
        probability_sum: sum of their probabilities.
        squared_error_sum: sum over all pixels of (probability - {0, 1})².
    """

    pixels: tuple[int, ...]
    lesion_px: tuple[int, ...]
    probability_sum: tuple[float, ...]
    squared_error_sum: float

    @classmethod
    def of(cls, probability: np.ndarray, reference: np.ndarray, bins: int = BINS) -> CalibrationCounts:
        """Count the pixels of a case, or of any part of one.

        Args:
            probability: floating, any shape, in [0, 1].
            reference: bool, the same shape.
            bins: number of bins of equal width, 1 or more.

        Raises:
            UsageError: not probabilities, or shapes or bins that do not fit.
        """
        if bins < 1:
            raise UsageError(f"Calibration needs at least one bin. Received: {bins}.")
        check_probabilities(probability, reference)
        values = probability.ravel().astype(np.float64)
        lesion = reference.ravel()
        place = np.minimum((values * bins).astype(np.int64), bins - 1)
        # Of a pixel outside the lesion the squared error is p²; of one inside it is 1 - 2p more.
        squared_error = float(values @ values + np.sum(1 - 2 * values[lesion]))
        return cls(
            tuple(np.bincount(place, minlength=bins).tolist()),
            tuple(np.bincount(place[lesion], minlength=bins).tolist()),
            tuple(np.bincount(place, values, minlength=bins).tolist()),
            squared_error,
        )

    def __add__(self, other: CalibrationCounts) -> CalibrationCounts:
        if len(self.pixels) != len(other.pixels):
            raise UsageError(
                f"Counts of {len(self.pixels)} and of {len(other.pixels)} bins do not add up. "
                "Count again with one number of bins."
            )
        return CalibrationCounts(
            tuple(a + b for a, b in zip(self.pixels, other.pixels, strict=True)),
            tuple(a + b for a, b in zip(self.lesion_px, other.lesion_px, strict=True)),
            tuple(a + b for a, b in zip(self.probability_sum, other.probability_sum, strict=True)),
            self.squared_error_sum + other.squared_error_sum,
        )

    @property
    def expected_calibration_error(self) -> float:
        """Mean over pixels of |mean probability - share of lesion| of their bin, in [0, 1]; NaN without pixels.

        Source: Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602; Guo et al. 2017, arXiv:1706.04599, eq. 3, here with the
        probability of the lesion instead of the confidence of the likelier class.
        """
        total = sum(self.pixels)
        gaps = (abs(expected - lesion) for expected, lesion in zip(self.probability_sum, self.lesion_px, strict=True))
        return sum(gaps) / total if total else float("nan")

    @property
    def brier(self) -> float:
        """Mean squared error of the probabilities, in [0, 1]; NaN without pixels.

        Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, half of his two-class score.
        """
        total = sum(self.pixels)
        return self.squared_error_sum / total if total else float("nan")

    def reliability_curve(self) -> list[ReliabilityBin]:
        """Return the bins that hold pixels, from low to high."""
        bins = len(self.pixels)
        return [
            ReliabilityBin(number / bins, (number + 1) / bins, pixels, expected / pixels, lesion / pixels)
            for number, (pixels, expected, lesion) in enumerate(
                zip(self.pixels, self.probability_sum, self.lesion_px, strict=True)
            )
            if pixels
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return {
            "pixels": list(self.pixels),
            "lesion_px": list(self.lesion_px),
            "probability_sum": list(self.probability_sum),
            "squared_error_sum": self.squared_error_sum,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CalibrationCounts:
        """Return the counts that `to_dict` wrote; raises UsageError for anything else."""
        try:
            counts = cls(
                tuple(int(count) for count in values["pixels"]),
                tuple(int(count) for count in values["lesion_px"]),
                tuple(float(total) for total in values["probability_sum"]),
                float(values["squared_error_sum"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"These are no calibration counts: {type(error).__name__} {error}.") from None
        if not len(counts.pixels) == len(counts.lesion_px) == len(counts.probability_sum) > 0:
            raise UsageError("These are no calibration counts: the lists differ in length, or are empty.")
        return counts
