"""Free-response ROC: the share of lesions found against false positives per scan (or per slice).

A candidate is a marked place with a score. One that hits a lesion finds it; further candidates on a lesion that was
already found count neither for nor against. One that hits nothing is a false positive, on scans with and without
lesions alike. Unlike Dice it judges detection over all thresholds at once.

Answers where masks are empty: no reference lesions at all, NaN sensitivity at every rate; no candidates at all, 0;
neither, NaN.

Source: Setio et al. 2017, doi:10.1016/j.media.2017.06.015 (LUNA16), section on evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.lesions import HIT_IOU, label_components, match_lesions
from lungzoo.metrics.pair import bounding_box, check_mask
from lungzoo.metrics.probabilities import check_probabilities

FALSE_POSITIVE_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
Per = Literal["slice", "volume"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of one scan, a slice or a volume, and how many lesions its reference has.

    Args:
        score: (n,) the higher, the surer; no NaN.
        lesion: int (n,) number (from 0) of the lesion that each one hits, -1 where it hits none.
        lesions: number of lesions of the reference.

    Raises:
        UsageError: arrays that differ in length, NaN scores, or lesions that the reference does not have.
    """

    score: np.ndarray
    lesion: np.ndarray
    lesions: int

    def __post_init__(self) -> None:
        score, lesion = np.asarray(self.score, np.float64), np.asarray(self.lesion)
        if score.ndim != 1 or score.shape != lesion.shape:
            raise UsageError(f"Candidates need a score and a lesion each. Received: {score.shape} and {lesion.shape}.")
        if len(lesion) and not np.issubdtype(lesion.dtype, np.integer):
            raise UsageError(f"The lesions of candidates must be integers. Received: {lesion.dtype}.")
        if np.isnan(score).any():
            raise UsageError("The score of a candidate is NaN. Leave out candidates without a score.")
        if self.lesions < 0 or (len(lesion) and not (lesion.min() >= -1 and lesion.max() < self.lesions)):
            raise UsageError(
                f"A candidate's lesion must be -1 (none) or from 0 to {self.lesions - 1}, the lesions of its scan. "
                f"Received: {sorted(set(lesion.tolist()))[:10]}."
            )
        object.__setattr__(self, "score", score)
        object.__setattr__(self, "lesion", lesion.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Froc:
    """A curve, one point per score at which it changes, from the highest score to the lowest.

    Args:
        per: what one scan is.
        scans, lesions, candidates: how many it rests on.
        threshold: (k,) score from which candidates count.
        false_positives: (k,) mean number per scan, not falling.
        sensitivity: (k,) share of all lesions found, not falling; NaN without lesions.
    """

    per: Per
    scans: int
    lesions: int
    candidates: int
    threshold: np.ndarray
    false_positives: np.ndarray
    sensitivity: np.ndarray

    @property
    def axis(self) -> str:
        """Name of the horizontal axis."""
        return f"False positives per {self.per}"

    def sensitivity_at(self, rate: float) -> float:
        """Return the sensitivity at a mean number of false positives per scan, 0 or more; NaN without lesions.

        It is the highest of the curve at this rate. Between two rates it is interpolated linearly, as by LUNA16's
        evaluation: from the last point of the one to the first of the next, so that a single false positive adds
        nothing by itself. The curve begins at no candidates, and beyond its end the last sensitivity holds.

        Raises:
            UsageError: the rate is below 0, or NaN.
        """
        if not rate >= 0:
            raise UsageError(f"A rate of false positives must be 0 or more. Received: {rate}.")
        if not self.lesions:
            return float("nan")
        rates, found = np.append(0.0, self.false_positives), np.append(0.0, self.sensitivity)
        last = int(np.searchsorted(rates, rate, side="right")) - 1
        ends = slice(last, last + 2)
        return float(np.interp(rate, rates[ends], found[ends]))

    def sensitivities(self) -> dict[float, float]:
        """Return the sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan."""
        return {rate: self.sensitivity_at(rate) for rate in FALSE_POSITIVE_RATES}

    @property
    def score(self) -> float:
        """Mean of `sensitivities`, in [0, 1]: the score of LUNA16 where a scan is a volume; NaN without lesions."""
        return float(np.mean(list(self.sensitivities().values())))


def froc(scans: list[Candidates], per: Per) -> Froc:
    """Return the curve of a set of scans.

    Args:
        scans: one entry for each scan, also for those without candidates or lesions.
        per: what one scan is, "slice" or "volume".

    Raises:
        UsageError: no scans, or another `per`.
    """
    if per not in ("slice", "volume"):
        raise UsageError(f"A scan is a slice or a volume. Received: per={per!r}. Allowed: 'slice', 'volume'.")
    if not scans:
        raise UsageError("FROC needs at least one scan. Received: none.")
    offsets = np.cumsum([0, *(scan.lesions for scan in scans)])
    score = np.concatenate([scan.score for scan in scans])
    lesion = np.concatenate(
        [np.where(scan.lesion < 0, -1, scan.lesion + start) for scan, start in zip(scans, offsets[:-1], strict=True)]
    )
    order = np.argsort(-score, kind="stable")
    score, lesion = score[order], lesion[order]
    counts = np.cumsum(_first_hits(lesion)), np.cumsum(lesion < 0)
    # Candidates of one score come together: no threshold parts them.
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, int)
    total = int(offsets[-1])
    found, false = counts[0][ends], counts[1][ends] / len(scans)
    sensitivity = found / total if total else np.full(len(ends), np.nan)
    return Froc(per, len(scans), total, len(score), score[ends], false, sensitivity)


def candidates_of(
    probability: np.ndarray, reference: np.ndarray, threshold: float = 0.5, hit_iou: float = HIT_IOU
) -> Candidates:
    """Turn the probability map of a slice or a volume into candidates.

    A candidate is a connected component of the pixels at or above the threshold; its score is its highest probability.
    What a hit is: `lungzoo.metrics.lesions`; a candidate that hits several lesions counts for the one with the highest
    IoU. Lower thresholds give larger candidates, not only more of them: choose it on the validation split.

    Args:
        probability: floating, (H, W) or (D, H, W), in [0, 1].
        reference: bool, the same shape.
        threshold: in (0, 1].
        hit_iou: intersection over union that makes a hit, in (0, 1].

    Raises:
        UsageError: arrays or numbers that do not fit.
    """
    for name, value in (("threshold", threshold), ("hit_iou", hit_iou)):
        if not 0 < value <= 1:
            raise UsageError(f"The {name} must be above 0 and at most 1. Received: {value}.")
    check_probabilities(probability, reference)
    check_mask("reference", reference)
    predicted = probability >= threshold
    box = bounding_box(predicted | reference)
    labels, lesions = label_components(predicted[box]), label_components(reference[box])
    found = match_lesions(lesions, labels, hit_iou)
    score = np.zeros(len(found.prediction_lesion) + 1)
    np.maximum.at(score, labels.ravel(), probability[box].ravel())
    return Candidates(score[1:], found.prediction_lesion, len(found.reference_hit))


def _first_hits(lesion: np.ndarray) -> np.ndarray:
    """Return bool (n,): the candidate is the first one on its lesion."""
    first = np.zeros(len(lesion), bool)
    _, places = np.unique(lesion, return_index=True)
    first[places] = True
    return first & (lesion >= 0)
