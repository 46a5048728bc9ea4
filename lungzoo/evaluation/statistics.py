"""Intervals that respect that slices of one patient are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval.

    Args:
        mean: mean over the cases; NaN where no case counts.
        low, high: ends of the interval; NaN where fewer than two patients count.
        cases, patients: how many the mean rests on.
    """

    mean: float
    low: float
    high: float
    cases: int
    patients: int


def patient_bootstrap(values: np.ndarray, patients: np.ndarray, draws: int, seed: int, level: float = 0.95) -> Interval:
    """Mean over cases with a percentile interval from resampling patients with replacement.

    Args:
        values: (n,) one value per case; NaN cases do not count.
        patients: (n,) patient of each case.
        draws: bootstrap samples.
        seed: of the resampling.
        level: coverage, in (0, 1).

    Source: Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x (cluster bootstrap); Efron 1979 (percentile).
    """
    counted = ~np.isnan(values)
    values, patients = values[counted], patients[counted]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    names, owner = np.unique(patients, return_inverse=True)
    totals, sizes = np.bincount(owner, values), np.bincount(owner)
    mean = float(values.mean())
    if len(names) < 2:
        return Interval(mean, float("nan"), float("nan"), len(values), len(names))
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    means = (times @ totals) / (times @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), len(values), len(names))
