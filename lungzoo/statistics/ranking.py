"""Intervals of figures that are no means over cases, AUC and balanced accuracy: patients and seeds are resampled.

Patients are resampled whole, because slices of one patient resemble each other, and the runs of an arm beside them; the
interval lies between percentiles. With few runs, resampling them shows less of the spread of seeds than there is: of
three, about two thirds of its variance.

Source: Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x, for clusters; Obuchowski 1997, doi:10.2307/2533958,
for why AUC of clustered cases needs them; Efron & Tibshirani 1993, section 13.3, for percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.statistics.bootstrap import check_settings
from lungzoo.statistics.permutation import smallest_p

_BLOCK = 250


@dataclass(frozen=True)
class Resamples:
    """Which patients and runs each resample has.

    Args:
        weights: float32 (draws, cases), how often a case's patient was drawn.
        patients: how many there are to draw from.
        draws: number of resamples.
        seed: of the resampling.
    """

    weights: np.ndarray
    patients: int
    draws: int
    seed: int

    def picks(self, runs: int) -> np.ndarray:
        """Return (draws, runs): share of each run in each resample; arms with equally many runs get the same."""
        rng = np.random.default_rng([self.seed, runs, 1])
        return rng.multinomial(runs, np.full(runs, 1 / runs), self.draws) / runs

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield (rows, cases), how often each case counts: once as it is, then in each resample."""
        yield np.ones((1, self.weights.shape[1]))
        for start in range(0, self.draws, _BLOCK):
            yield self.weights[start : start + _BLOCK].astype(np.float64)


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
    return Resamples(weights, len(names), draws, seed)


def auc_draws(true: np.ndarray, chances: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the mean AUC over runs: of the cases as they are, then of each resample.

    Args:
        true: int (cases,), numbers of the classes from 0.
        chances: (runs, cases, classes); NaN in all classes where a run did not test a case. Of two classes it is the
            AUC of the second, of more the mean over the classes that the run tested of each against the rest.
        drawn: resamples of the same cases.

    Returns:
        NaN where a class that a run tested has no case, or every case.
    """
    _check(true, chances)
    return _over_runs(np.stack([_run_areas(true, run, drawn) for run in chances]), drawn)


def balanced_accuracy_draws(true: np.ndarray, chances: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the mean over runs of the balanced accuracy, as `auc_draws` does of the AUC.

    Args:
        true, chances, drawn: as for `auc_draws`; the likeliest class is the predicted one.
    """
    _check(true, chances)
    found = []
    for run in chances:
        tested = ~np.isnan(run).any(axis=1)
        right = np.nan_to_num(run).argmax(axis=1) == true
        recalls = []
        for number in np.unique(true[tested]):
            members = tested & (true == number)
            counts = [
                (block[:, members & right].sum(axis=1), block[:, members].sum(axis=1)) for block in drawn.blocks()
            ]
            recalls.append(_ratio(*(np.concatenate(part) for part in zip(*counts, strict=True))))
        found.append(np.mean(recalls, axis=0))
    return _over_runs(np.stack(found), drawn)


def resampled_p(draws: np.ndarray, patients: int) -> float:
    """Return the two-sided probability that goes with the percentile interval of a difference, in (0, 1].

    It is 1 where half of the resamples or more say nothing, and never below what flips of the signs of so few patients
    could show.

    Args:
        draws: the difference in each resample, NaN where there is none.
        patients: how many were resampled.

    Source: Efron & Tibshirani 1993, section 15.4 with 13.3, for the probability from percentiles; Davison & Hinkley
    1997, section 4.2, for counting what was observed as a draw.
    """
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2:
        return 1.0
    beyond = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, max(2 * (1 + beyond) / (1 + len(known)), smallest_p(patients))))


def ends_of(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values; NaN where there are none, or only one value of all."""
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2 or np.ptp(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _run_areas(true: np.ndarray, run: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the area of a run, the mean over its classes where there are more than two."""
    tested = np.flatnonzero(~np.isnan(run).any(axis=1))
    asked = [1] if run.shape[1] == 2 else np.unique(true[tested]).tolist()
    found = [_weighted_auc(true[tested] == number, run[tested, number], tested, drawn) for number in asked]
    return np.mean(found, axis=0)


def _weighted_auc(positive: np.ndarray, score: np.ndarray, cases: np.ndarray, drawn: Resamples) -> np.ndarray:
    """Return (1 + draws,) the area of some of the cases, counted as often as they were drawn; ties count half."""
    order = np.argsort(score, kind="stable")
    score, positive, cases = score[order], positive[order], cases[order]
    starts = np.flatnonzero(np.append(True, score[1:] != score[:-1])[: len(score)])
    if not positive.any() or positive.all():
        return np.full(1 + drawn.draws, np.nan)
    found = []
    for block in drawn.blocks():
        weights = block[:, cases]
        up, down = (np.add.reduceat(weights * part, starts, axis=1) for part in (positive, ~positive))
        won = (up * (np.cumsum(down, axis=1) - down / 2)).sum(axis=1)
        found.append(_ratio(won, up.sum(axis=1) * down.sum(axis=1)))
    return np.concatenate(found)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _over_runs(values: np.ndarray, drawn: Resamples) -> np.ndarray:
    """(runs, 1 + draws) -> (1 + draws,), the mean over all runs, then over those of each resample."""
    picks = drawn.picks(len(values))
    drawn_values = np.where(picks > 0, values[:, 1:].T, 0)  # a run that was not drawn may be NaN
    return np.concatenate([[values[:, 0].mean()], (drawn_values * picks).sum(axis=1)])


def _check(true: np.ndarray, chances: np.ndarray) -> None:
    if chances.ndim != 3 or chances.shape[1] != len(true) or not len(chances):
        raise UsageError(
            f"Probabilities do not fit the cases. Received: {chances.shape} for {len(true)} label(s). "
            "Allowed: (runs, cases, classes) with one run or more."
        )
