"""Intervals of means over cases: patients are resampled, and seeds widen what that gives.

Patients are resampled whole, because slices of one patient resemble each other, and each resample's mean is divided by
its own standard error (bootstrap-t): for skewed values and twenty patients this covers what it says where percentiles
and BCa fall short (docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.statistics.cases import Arms, OneSeed, PatientSums, patient_sums
from lungzoo.statistics.spread import seed_part, spread_of

FEW_PATIENTS = 10
BLOCK = 256
# A resample of nearly equal patients has almost no spread of its own; this share of the observed one is its least.
LEAST_SPREAD = 0.05


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


@dataclass(frozen=True)
class Intervals:
    """Means of all arms with their intervals; arrays have one entry per arm.

    Args:
        mean: over seeds and cases; NaN where no case counts.
        low, high: ends of the interval; NaN where fewer than two patients count.
        over_seeds: True where the interval speaks of the recipe (other patients and other seeds), False where it is
            conditional on these trained networks (other patients only).
        seeds, cases, patients: how many the mean rests on.
        notes: sentences that belong under the table.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    over_seeds: np.ndarray
    seeds: np.ndarray
    cases: np.ndarray
    patients: np.ndarray
    notes: tuple[str, ...]


def patient_bootstrap(
    values: np.ndarray,
    patients: np.ndarray,
    draws: int,
    seed: int,
    level: float = 0.95,
    limits: tuple[float, float] | None = None,
) -> Interval:
    """Mean over the cases of one network with an interval from resampling patients.

    Args:
        values: (n,) one value per case; NaN cases do not count.
        patients: (n,) patient of each case.
        draws: bootstrap samples.
        seed: of the resampling.
        level: coverage, in (0, 1).
        limits: of the metric, such as (0, 1); the interval ends there.
    """
    values = np.asarray(values, dtype=np.float64)
    found = intervals([values], patients, draws=draws, seed=seed, level=level, limits=limits)
    ends = (float(found.mean[0]), float(found.low[0]), float(found.high[0]))
    return Interval(*ends, int(found.cases[0]), int(found.patients[0]))


def intervals(
    values: Arms,
    patients: np.ndarray,
    folds: np.ndarray | None = None,
    *,
    draws: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    over: Literal["auto", "patients", "seeds"] = "auto",
    limits: tuple[float, float] | None = None,
) -> Intervals:
    """Mean of every arm over seeds and cases, with an interval.

    Args:
        values: per arm (seeds, cases); NaN cases do not count. Arms may differ in seeds and in the cases that count, so
            several metrics can be asked for at once.
        patients: (cases,) patient of each case.
        folds: (cases,) fold that tests each case, where every seed was trained once per fold.
        draws: bootstrap samples.
        seed: of the resampling.
        level: coverage, in (0, 1).
        over: "seeds" asks for other patients and other seeds, "patients" for other patients alone, "auto" for the
            first where an arm has two seeds or more and for the second elsewhere.
        limits: of the metric, such as (0, 1); intervals end there.

    Raises:
        OneSeed: `over` is "seeds" and an arm was trained once.
        UsageError: values that do not fit.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 12.5 (bootstrap-t); Field & Welsh 2007,
    doi:10.1111/j.1467-9868.2007.00593.x (clusters are resampled whole); `Spread.seed_widening` for the seeds.
    """
    check_settings(draws, level)
    sums = patient_sums(values, patients, folds)
    centred, sizes, mean = _centred(sums)
    parts = [[seed_part(*arm, sums.fold)] for arm in zip(sums.totals, sums.counts, strict=True)]
    counted = np.count_nonzero(sizes, axis=1)
    below, above, error = (np.full(len(mean), np.nan) for _ in range(3))
    for rows, block in _alike(sizes):
        below[rows], above[rows], error[rows] = studentised(
            centred[rows][:, block], sizes[rows[0], block], draws, seed, level
        )
    spread = spread_of(error**2, np.maximum(counted - 1.0, 1.0), parts)
    if over == "seeds" and not spread.over_seeds.all():
        raise OneSeed(one_seed(int(np.flatnonzero(~spread.over_seeds)[0])))
    wanted = spread.over_seeds & (over != "patients") & (counted > 1)
    widening = np.where(wanted, spread.seed_widening(np.array((1 - level) / 2)), 0.0)
    low, high = mean - np.sqrt(below**2 + widening), mean + np.sqrt(above**2 + widening)
    if limits:
        low, high = np.clip(low, *limits), np.clip(high, *limits)
    return Intervals(mean, low, high, wanted, sums.seeds, sums.cases, counted, _notes(counted, wanted, error, over))


def studentised(
    centred: np.ndarray, sizes: np.ndarray, draws: int, seed: int, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample patients: how far below and above its mean an interval reaches, and the mean's standard error.

    Args:
        centred: (rows, patients) each patient's sum of value − mean, over cases.
        sizes: (patients,) numbers of cases, above 0.
        draws, seed, level: as in `intervals`.

    Returns:
        Three arrays (rows,); NaN for fewer than two patients. With fewer than ten, no side is shorter than Student's t.
    """
    from scipy.special import stdtrit

    rows, patients = centred.shape
    if patients < 2:
        return tuple(np.full((3, rows), np.nan))  # type: ignore[return-value]
    correction = patients / (patients - 1)
    error = np.sqrt((centred**2).sum(axis=1) * correction) / sizes.sum()
    weights = _weights(patients, draws, seed)
    scale = np.where(error > 0, error, 1.0) * sizes.sum()
    below, above = np.empty(rows), np.empty(rows)
    first = int((1 - level) / 2 * draws)
    # Sums in units of their standard error keep single precision accurate.
    relative = (sizes / sizes.mean()).astype(np.float32)
    drawn, squares = relative @ weights, (relative**2) @ weights
    for start in range(0, rows, BLOCK):
        part = slice(start, start + BLOCK)
        unit = (centred[part] / scale[part, None]).astype(np.float32)
        moved = (unit @ weights) * (patients / drawn)
        cross = ((unit * relative) @ weights) * (2 / patients)
        own = (unit**2) @ weights - moved * cross + moved**2 * (squares / patients**2)
        own *= (patients / drawn) ** 2 * correction
        moved /= np.sqrt(np.maximum(own, LEAST_SPREAD))
        moved.partition([first, draws - 1 - first], axis=1)
        below[part], above[part] = moved[:, draws - 1 - first] * error[part], -moved[:, first] * error[part]
    # A handful of patients have few distinct resamples, and two have none of use.
    least = -float(stdtrit(patients - 1, (1 - level) / 2)) * error if patients < FEW_PATIENTS else np.zeros(rows)
    return np.maximum(below, least), np.maximum(above, least), error


def check_settings(draws: int, level: float) -> None:
    """Refuse settings that no interval can be made of."""
    if not 0 < level < 1:
        raise UsageError(f"The level of an interval is a share. Received: {level}. Allowed: above 0 and below 1.")
    if draws < 100:
        raise UsageError(f"Too few bootstrap draws. Received: {draws}. Allowed: 100 or more; 10000 is usual.")


def one_seed(arm: int) -> str:
    """Return the sentence that refuses an interval over seeds."""
    return (
        f"Arm {arm} was trained once per fold or split, so nothing shows how much another seed would change it. Train "
        'it with two seeds or more, three at best, or ask for over="patients": that interval is conditional on these '
        "trained networks."
    )


def _centred(sums: PatientSums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (arms, patients) sums of value − mean, (arms, patients) numbers of cases, and the means."""
    totals = np.stack([total.mean(axis=0) for total in sums.totals])
    sizes = np.stack([count.mean(axis=0) for count in sums.counts])
    cases = sizes.sum(axis=1)
    mean = np.where(cases > 0, totals.sum(axis=1) / np.where(cases > 0, cases, 1.0), np.nan)
    centred = totals - np.nan_to_num(mean)[:, None] * sizes
    # What is left of equal values after the mean is taken away is rounding, not spread.
    noise = 1e-12 * np.abs(totals).max(axis=1, keepdims=True, initial=0.0)
    return np.where(np.abs(centred) <= noise, 0.0, centred), sizes, mean


def _alike(sizes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (arms, patients that count) for arms with the same numbers of cases, for which one resampling serves."""
    patterns, owner = np.unique(sizes, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(owner.ravel() == number), np.flatnonzero(pattern)


def _weights(patients: int, draws: int, seed: int) -> np.ndarray:
    """How often each patient is in each resample: (patients, draws)."""
    rng = np.random.default_rng([seed, patients])
    weights = np.empty((patients, draws), dtype=np.float32)
    for start in range(0, draws, 1000):
        number = min(1000, draws - start)
        chosen = rng.integers(0, patients, (number, patients)) + np.arange(number)[:, None] * patients
        weights[:, start : start + number] = (
            np.bincount(chosen.ravel(), minlength=number * patients).reshape(-1, patients).T
        )
    return weights


def _notes(counted: np.ndarray, wanted: np.ndarray, error: np.ndarray, over: str) -> tuple[str, ...]:
    notes = []
    of_patients = int((~wanted & (counted > 1)).sum())
    if of_patients and over != "patients":
        notes.append(
            f"{of_patients} of {int((counted > 1).sum())} interval(s) are conditional on these trained networks: one "
            "seed says nothing about another."
        )
    few = counted[(counted > 1) & (counted < FEW_PATIENTS)]
    if len(few):
        notes.append(f"Only {few.min()} patients: intervals of so few cover less often than they say.")
    if (counted < 2).any():
        notes.append("Fewer than two patients: no interval.")
    if (error[counted > 1] == 0).any():
        notes.append("All patients have the same value: the interval has no width, and says nothing of other patients.")
    return tuple(notes)
