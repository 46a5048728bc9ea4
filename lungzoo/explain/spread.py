"""How unsure several answers for one slice are, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lungzoo.explain.contract import HeatMap, Subject
from lungzoo.inference.predictor import Predictor, Region

MeasureName = Literal["entropy", "mutual-information", "std"]
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Measure:
    """A figure of several probabilities.

    Args:
        quantity: what it is, with its unit.
        top: the largest value that it can have.
        of: function from probabilities (n, H, W) to (H, W).
    """

    quantity: str
    top: float
    of: Callable[[np.ndarray], np.ndarray]


def entropy(probability: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of answers "lesion" with a probability: 0 for 0 and 1, 1 for 0.5."""
    from scipy.special import entr

    p = np.asarray(probability, np.float64)
    return np.asarray((entr(p) + entr(1 - p)) / np.log(2))


def predictive_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of the mean of (n, H, W): all uncertainty, of the image and of the model."""
    return entropy(probabilities.mean(axis=0, dtype=np.float64))


def mutual_information(probabilities: np.ndarray) -> np.ndarray:
    """Return what of the entropy of (n, H, W) is disagreement, in bits; 0 where all answer the same.

    Source: Houlsby et al. 2011, arXiv:1112.5745.
    """
    return np.maximum(predictive_entropy(probabilities) - entropy(probabilities).mean(axis=0), 0)


def deviation(probabilities: np.ndarray) -> np.ndarray:
    """Return the standard deviation of (n, H, W) over the answers, divided by n."""
    return np.asarray(probabilities.std(axis=0, dtype=np.float64))


MEASURES: dict[MeasureName, Measure] = {
    "entropy": Measure("predictive entropy [bits]", 1.0, predictive_entropy),
    "mutual-information": Measure("mutual information [bits]", 1.0, mutual_information),
    "std": Measure("standard deviation of the probability", 0.5, deviation),
}


def spread_of(subject: Subject, members: Sequence[tuple[Predictor, int]], measure: MeasureName, what: str) -> HeatMap:
    """Return the uncertainty of members on the scan's own grid.

    Args:
        subject: the slice.
        members: predictors, and how many times each answers.
        measure: which figure.
        what: the members in words, for the title.
    """
    answers, total = [], sum(times for _, times in members)
    for predictor, times in members:
        for _ in range(times):
            answers.append(_answer(predictor, subject))
            subject.progress(len(answers), total)
    chosen = MEASURES[measure]
    values = chosen.of(np.stack(answers)).astype(np.float32)
    # Colours up to the largest possible value would hide a small figure; what the bar ends at is written beside it.
    # Of members that agree everywhere they would show how numbers are rounded.
    whole = measure == "entropy" or values.max() < _ROUNDING
    return HeatMap(values, chosen.quantity, f"uncertainty over {what}", top=chosen.top if whole else None)


def with_model(predictor: Predictor, model: Any) -> Predictor:
    """Return a predictor that runs another model in the place of its own."""
    return replace(predictor, model=model)


def _answer(predictor: Predictor, subject: Subject) -> np.ndarray:
    """Return the probability of lesion in the subject's slice, (H, W) on the scan's own grid."""
    image = subject.volume.image
    wanted = np.arange(len(image)) == subject.row
    region = Region(wanted, (slice(0, image.shape[1]), slice(0, image.shape[2])))
    answers = predictor.slices(subject.volume, region, replace(subject.passes, flips=False))
    return next(answer.probability for answer in answers if answer.row == subject.row)
