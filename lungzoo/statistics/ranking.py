"""Intervals of figures that are no means over cases, AUC and balanced accuracy: patients and seeds are resampled.

Patients are resampled whole, because slices of one patient resemble each other, and the runs of an arm beside them; the
interval lies between percentiles. With few runs, resampling them shows less of the spread of seeds than there is: of
three, about two thirds of its variance.

Source: Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x, for clusters; Obuchowski 1997, doi:10.2307/2533958,
for why AUC of clustered cases needs them; Efron & Tibshirani 1993, section 13.3, for percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.statistics.bootstrap import check_settings

_BLOCK = 250


@dataclass(frozen=True)
class Resamples:
    """Which patients and runs each resample has.

    Args:
        weights: float32 (draws, cases), how often a case's patient was drawn.
        draws: number of resamples.
        seed: of the resampling.
    """

    weights: np.ndarray
    draws: int
    seed: int

    def picks(self, runs: int) -> np.ndarray:
        """Return (draws, runs): share of each run in each resample; arms with equally many runs get the same."""
        rng = np.random.default_rng([self.seed, runs, 1])
        return rng.multinomial(runs, np.full(runs, 1 / runs), self.draws) / runs


def resamples(patients: np.ndarray, draws: int, seed: int = 0) -> Resamples:
    """Draw patients.

    Args:
        patients: (cases,) patient of each case.
        draws: number of resamples, 100 or more.
        seed: of the resampling.
    """
    check_settings(draws, 0.95)
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng([seed, len(names)])
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), draws) if len(names) else None
    weights = np.zeros((draws, 0), np.float32) if drawn is None else drawn[:, owner].astype(np.float32)
    return Resamples(weights, draws, seed)


def auc_draws(true: np.ndarray, chances: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the mean AUC over runs: of the cases as they are, then of each resample.

    Args:
        true: int (cases,), numbers of the classes from 0.
        chances: (runs, cases, classes); NaN in all classes where a run did not test a case. Of two classes it is the
            AUC of the second, of more the mean over classes of each against the rest.
        drawn: resamples of the same cases.

    Returns:
        NaN where a class has no case.
    """
    _check(true, chances)
    classes = chances.shape[2]
    asked = [1] if classes == 2 else [number for number in range(classes) if (true == number).any()]
    weights = np.concatenate([np.ones((1, len(true)), np.float32), drawn.weights])
    found = [
        np.mean([_weighted_auc(true == number, run[:, number], weights) for number in asked], axis=0) for run in chances
    ]
    return _over_runs(np.stack(found), drawn)


def balanced_accuracy_draws(true: np.ndarray, chances: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the mean over runs of the balanced accuracy, as `auc_draws` does of the AUC.

    Args:
        true, chances, drawn: as for `auc_draws`; the likeliest class is the predicted one.
    """
    _check(true, chances)
    weights = np.concatenate([np.ones((1, len(true)), np.float32), drawn.weights])
    found = []
    for run in chances:
        tested = ~np.isnan(run).any(axis=1)
        right = np.nan_to_num(run).argmax(axis=1) == true
        recalls = []
        for number in np.unique(true):
            members = tested & (true == number)
            size = weights[:, members].sum(axis=1)
            hits = weights[:, members & right].sum(axis=1)
            recalls.append(np.where(size > 0, hits / np.where(size > 0, size, 1), np.nan))
        found.append(np.mean(recalls, axis=0))
    return _over_runs(np.stack(found), drawn)


def ends_of(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values; NaN where there are none, or only one value of all."""
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2 or np.ptp(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weighted_auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (rows,) the AUC of cases that count `weights` (rows, cases) times."""
    tested = ~np.isnan(score)
    ups, downs = np.flatnonzero(tested & positive), np.flatnonzero(tested & ~positive)
    if not len(ups) or not len(downs):
        return np.full(len(weights), np.nan)
    wins = np.sign(score[ups][:, None] - score[downs]).astype(np.float32) / 2 + np.float32(0.5)
    found = np.empty(len(weights))
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        up, down = weights[part, ups], weights[part, downs]
        pairs = up.sum(axis=1, dtype=np.float64) * down.sum(axis=1, dtype=np.float64)
        won = ((up @ wins) * down).sum(axis=1, dtype=np.float64)
        found[part] = np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan)
    return found


def _over_runs(values: np.ndarray, drawn: Resamples) -> np.ndarray:
    """(runs, 1 + draws) -> (1 + draws,), the mean over all runs, then over those of each resample."""
    picks = drawn.picks(len(values))
    return np.concatenate([[values[:, 0].mean()], (values[:, 1:].T * picks).sum(axis=1)])


def _check(true: np.ndarray, chances: np.ndarray) -> None:
    if chances.ndim != 3 or chances.shape[1] != len(true) or not len(chances):
        raise UsageError(
            f"Probabilities do not fit the cases. Received: {chances.shape} for {len(true)} label(s). "
            "Allowed: (runs, cases, classes) with one run or more."
        )
