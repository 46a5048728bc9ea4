"""Area under the ROC curve of a two-class score, with its interval.

Answers where a class is missing: with cases of one class only, or none, AUC and interval are NaN. With a single case of
a class the area is known and its variance is not: the interval is NaN. A score that is NaN is refused.

The interval is DeLong's normal one, cut off at 0 and 1. Where the classes are parted completely it has no width, and
with few cases it is too short: give the numbers of cases with it. It takes the cases for independent; where patients
have several cases each, resample patients instead.

Source: DeLong et al. 1988, doi:10.2307/2531595; Sun and Xu 2014, doi:10.1109/LSP.2014.2337313, algorithm 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lungzoo.errors import UsageError


@dataclass(frozen=True)
class RocArea:
    """An area under the ROC curve.

    Args:
        auc: in [0, 1]; NaN where a class is missing.
        low, high: ends of the interval, in [0, 1]; NaN where a class has fewer than two cases.
        positives, negatives: numbers of cases.
    """

    auc: float
    low: float
    high: float
    positives: int
    negatives: int


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Return the probability that a positive case scores higher than a negative one, ties counting half.

    Args:
        positive: bool (n,).
        score: (n,), the higher the likelier positive; infinite ones may be, NaN may not.

    Returns:
        The area in [0, 1], NaN where a class is missing.

    Raises:
        UsageError: arrays that do not fit, or NaN scores.

    Source: Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    positive, score = _checked(positive, score)
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return float("nan")
    return float((_midranks(score)[positive].sum() - m * (m + 1) / 2) / (m * n))


def roc_area(positive: np.ndarray, score: np.ndarray, level: float = 0.95) -> RocArea:
    """Return the area with DeLong's interval.

    Args:
        positive, score: as for `auc`.
        level: coverage of the interval, in (0, 1).

    Raises:
        UsageError: arrays or level that do not fit, or NaN scores.
    """
    quantile = _quantile(level)
    positive, score = _checked(positive, score)
    m, n = int(positive.sum()), int((~positive).sum())
    area = auc(positive, score)
    if min(m, n) < 2:
        return RocArea(area, float("nan"), float("nan"), m, n)
    half = quantile * math.sqrt(_covariance(_placements(positive, score[None]))[0, 0])
    return RocArea(area, max(0.0, area - half), min(1.0, area + half), m, n)


def mean_roc_area(positive: np.ndarray, scores: np.ndarray, level: float = 0.95) -> RocArea:
    """Return the mean area of several scores of the same cases, such as those of networks with different seeds.

    The variance of the mean is the mean of the scores' DeLong covariances. It speaks of other cases and of these
    networks, not of other seeds.

    Args:
        positive: bool (n,).
        scores: (k, n), each as for `auc`, k of 1 or more.
        level: coverage of the interval, in (0, 1).

    Raises:
        UsageError: arrays or level that do not fit, or NaN scores.
    """
    quantile = _quantile(level)
    pairs = [_checked(positive, score) for score in np.atleast_2d(scores)]
    labels, m = pairs[0][0], int(pairs[0][0].sum())
    n = len(labels) - m
    area = float(np.mean([auc(labels, score) for _, score in pairs]))
    if min(m, n) < 2:
        return RocArea(area, float("nan"), float("nan"), m, n)
    covariance = _covariance(_placements(labels, np.stack([score for _, score in pairs])))
    half = quantile * math.sqrt(max(0.0, float(covariance.mean())))
    return RocArea(area, max(0.0, area - half), min(1.0, area + half), m, n)


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (k, m) and (k, n): the share of the other class that each positive beats, and each negative loses to."""
    m, n = int(positive.sum()), int((~positive).sum())
    beats, loses = np.empty((len(scores), m)), np.empty((len(scores), n))
    for row, score in enumerate(scores):
        ranks = _midranks(score)
        beats[row] = (ranks[positive] - _midranks(score[positive])) / n
        loses[row] = 1 - (ranks[~positive] - _midranks(score[~positive])) / m
    return beats, loses


def _covariance(placements: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return (k, k): the covariance of the areas of k scores."""
    return np.asarray(sum(np.atleast_2d(np.cov(part)) / part.shape[1] for part in placements))


def _midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, equal values sharing their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[group])


def _checked(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, score = np.asarray(positive), np.asarray(score, np.float64)
    if positive.dtype != bool or positive.ndim != 1 or positive.shape != score.shape:
        raise UsageError(
            f"An ROC curve needs one boolean and one score per case. Received: {positive.dtype} {positive.shape} and "
            f"scores {score.shape}. Compare first: labels == 1."
        )
    if np.isnan(score).any():
        raise UsageError(f"{int(np.isnan(score).sum())} of {len(score)} scores are NaN. Leave those cases out first.")
    return positive, score


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(f"The level of an interval must be between 0 and 1. Received: {level}.")
    return NormalDist().inv_cdf((1 + level) / 2)
