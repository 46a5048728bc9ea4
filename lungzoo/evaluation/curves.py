"""What one number per case does not show: calibration, other thresholds, detection. Parts add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.metrics.calibration import CalibrationCounts
from lungzoo.metrics.froc import Candidates, Froc, candidates_of, froc
from lungzoo.metrics.pair import MaskPair
from lungzoo.metrics.pooled import PooledOverlap
from lungzoo.metrics.thresholds import ThresholdCounts

# Pixels from this probability on make candidates. It lies far below the threshold of masks, so that a curve has points
# to the right of the operating point; a setting of the metric, the same for every model.
CANDIDATE_PROBABILITY = 0.1


@dataclass(frozen=True)
class Curves:
    """Counts of a set of cases; counts of parts add up with `+`.

    Args:
        calibration: of all pixels.
        thresholds: figures at other thresholds.
        pooled: pixels of all cases together.
        slices: candidates of each slice.
        volumes: candidates of each volume's stack of neighbouring slices, which may be a part of it; empty where the
            set has none.
    """

    calibration: CalibrationCounts
    thresholds: ThresholdCounts
    pooled: PooledOverlap
    slices: tuple[Candidates, ...]
    volumes: tuple[Candidates, ...] = ()

    @classmethod
    def of(cls, probability: np.ndarray, reference: np.ndarray, mask: np.ndarray, min_lesion_px: int) -> Curves:
        """Count one slice.

        Args:
            probability: float (H, W) in [0, 1].
            reference, mask: bool (H, W).
            min_lesion_px: smallest reference that counts as a case with a lesion.
        """
        return cls(
            CalibrationCounts.of(probability, reference),
            ThresholdCounts.of(probability, reference, min_lesion_px=min_lesion_px),
            PooledOverlap.of(MaskPair(reference, mask)),
            (candidates_of(probability, reference, CANDIDATE_PROBABILITY),),
        )

    def __add__(self, other: Curves) -> Curves:
        return Curves(
            self.calibration + other.calibration,
            self.thresholds + other.thresholds,
            self.pooled + other.pooled,
            self.slices + other.slices,
            self.volumes + other.volumes,
        )

    def froc(self) -> tuple[Froc, ...]:
        """Return the curve over slices and, where there are stacks, the one over stacks, whose `per` is "volume"."""
        over_volumes = (froc(list(self.volumes), "volume"),) if self.volumes else ()
        return (froc(list(self.slices), "slice"), *over_volumes)

    def figures(self) -> dict[str, float]:
        """Return the figures that a record keeps, by name."""
        found = {
            "expected_calibration_error": self.calibration.expected_calibration_error,
            "brier": self.calibration.brier,
        }
        for curve in self.froc():
            found[f"froc_score_per_{curve.per}"] = curve.score
            found[f"sensitivity_at_1_fp_per_{curve.per}"] = curve.sensitivity_at(1.0)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "calibration": self.calibration.to_dict(),
            "thresholds": self.thresholds.to_dict(),
            "pooled": vars(self.pooled),
            "slices": [_candidates_to_dict(each) for each in self.slices],
            "volumes": [_candidates_to_dict(each) for each in self.volumes],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Curves:
        """Return what `to_dict` wrote; raises UsageError, KeyError or TypeError for anything else."""
        return cls(
            CalibrationCounts.from_dict(values["calibration"]),
            ThresholdCounts.from_dict(values["thresholds"]),
            PooledOverlap(**values["pooled"]),
            tuple(_candidates_from_dict(each) for each in values["slices"]),
            tuple(_candidates_from_dict(each) for each in values["volumes"]),
        )


def _candidates_to_dict(candidates: Candidates) -> dict[str, Any]:
    scores = [round(float(score), 6) for score in candidates.score]
    return {"score": scores, "lesion": candidates.lesion.tolist(), "lesions": candidates.lesions}


def _candidates_from_dict(values: Mapping[str, Any]) -> Candidates:
    return Candidates(np.asarray(values["score"], float), np.asarray(values["lesion"], int), int(values["lesions"]))
