"""From values per case to what the statistics work on: sums per patient, per arm and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lungzoo.errors import UsageError

Arms = Sequence[np.ndarray] | np.ndarray


class TooFew(UsageError):
    """Too few patients, seeds or arms for what was asked."""


class OneSeed(TooFew):
    """An interval over seeds was asked of an arm that was trained once."""


class DifferentCases(UsageError):
    """Arms that are to be compared were scored on different cases."""


@dataclass(frozen=True)
class PatientSums:
    """Sums over each patient's cases.

    Args:
        totals: per arm (seeds, patients), sums of the values that count.
        counts: per arm (seeds, patients), numbers of values that count.
        cases: (arms,) numbers of cases with a value of any seed.
        fold: (patients,) number of the fold that tests the patient; all 0 without folds.
        names: (patients,) their identities, sorted.
    """

    totals: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]
    cases: np.ndarray
    fold: np.ndarray
    names: np.ndarray

    @property
    def seeds(self) -> np.ndarray:
        """Number of seeds of each arm."""
        return np.array([len(total) for total in self.totals], dtype=np.int64)


def patient_sums(values: Arms, patients: np.ndarray, folds: np.ndarray | None = None) -> PatientSums:
    """Check the values of all arms and sum them over each patient's cases.

    Args:
        values: per arm (seeds, cases), or (cases,) for a single seed; an array (arms, seeds, cases) does as well.
            NaN cases do not count.
        patients: (cases,) patient of each case.
        folds: (cases,) fold that tests each case; None without cross-validation.

    Raises:
        UsageError: shapes that do not fit, infinite values, no arm, a patient in two folds.
    """
    arms = [np.atleast_2d(np.asarray(arm, dtype=np.float64)) for arm in values]
    patients = np.asarray(patients)
    if not arms:
        raise UsageError("There is no arm. Received: an empty list. Give the values of one arm or more.")
    for number, arm in enumerate(arms):
        _check_arm(number, arm, len(patients))
    names, owner = np.unique(patients, return_inverse=True)
    totals, counts = [], []
    for arm in arms:
        known = ~np.isnan(arm)
        totals.append(_sum_by(np.where(known, arm, 0.0), owner, len(names)))
        counts.append(_sum_by(known.astype(np.float64), owner, len(names)))
    cases = np.array([np.count_nonzero(~np.isnan(arm).all(axis=0)) for arm in arms])
    return PatientSums(tuple(totals), tuple(counts), cases, _folds(folds, owner, names), names)


def check_same_cases(values: Arms) -> None:
    """Refuse arms, or seeds of one arm, that were scored on different cases.

    Raises:
        DifferentCases: naming the first arm that differs from arm 0, and in how many cases.
    """
    reference = ~np.isnan(np.atleast_2d(np.asarray(values[0], dtype=np.float64))[0])
    for number, arm in enumerate(values):
        known = ~np.isnan(np.atleast_2d(np.asarray(arm, dtype=np.float64)))
        differ = int(np.any(known != reference, axis=0).sum())
        if differ:
            raise DifferentCases(
                f"Arm {number} was scored on other cases than arm 0: {differ} of {len(reference)} case(s) have a value "
                "in one and none in the other. A paired comparison needs the same cases; leave these out of all arms."
            )


def _check_arm(number: int, arm: np.ndarray, cases: int) -> None:
    if arm.ndim != 2 or arm.shape[1] != cases or not len(arm):
        raise UsageError(
            f"Arm {number} does not fit the cases. Received: values {arm.shape}, {cases} patient name(s). "
            "Allowed: (seeds, cases) with one patient per case and one seed or more."
        )
    infinite = int(np.isinf(arm).sum())
    if infinite:
        raise UsageError(
            f"Arm {number} has {infinite} infinite value(s). Allowed: finite values, or NaN where a case says nothing."
        )


def _sum_by(values: np.ndarray, owner: np.ndarray, patients: int) -> np.ndarray:
    return np.stack([np.bincount(owner, row, minlength=patients) for row in values])


def _folds(folds: np.ndarray | None, owner: np.ndarray, names: np.ndarray) -> np.ndarray:
    if folds is None:
        return np.zeros(len(names), dtype=np.int64)
    _, numbers = np.unique(np.asarray(folds), return_inverse=True)
    if numbers.shape != owner.shape:
        raise UsageError(f"Folds do not fit the cases. Received: {len(numbers)} fold(s) for {len(owner)} case(s).")
    pairs = np.unique(np.stack([owner, numbers], axis=1), axis=0)
    for (patient, _), (following, _) in pairwise(pairs):
        if patient == following:
            raise UsageError(
                f"Patient '{names[patient]}' is in more than one fold. Allowed: each patient is tested in one fold."
            )
    fold = np.zeros(len(names), dtype=np.int64)
    fold[pairs[:, 0]] = pairs[:, 1]
    return fold
