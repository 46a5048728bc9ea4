"""How far a mean would move with other patients, and how far with networks trained from other seeds.

Patients and seeds are crossed: every network sees every patient. The squared error of a mean over S seeds and P
patients is σ²(patients)/P + σ²(seeds)/S + σ²(both)/(S·P). Resampling patients alone gives the first and the third
term; what the means of the seeds vary beyond the third gives the second. With folds, each fold has networks of its own,
so the second term is found within folds and added up over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class SeedPart:
    """What training again adds to the squared error of one arm's mean.

    Args:
        observed: variance of the mean over seeds as the seeds' means show it; NaN where no fold has two seeds.
        shared: the part of it that patients cause, which resampling patients already counts.
        df: degrees of freedom of `observed`.
        share: what one training's squared error is multiplied by: 1/S, and with folds the sum of their squared shares
            of the cases, over S.
    """

    observed: float
    shared: float
    df: float
    share: float


@dataclass(frozen=True)
class Spread:
    """Squared standard errors of means or of differences; every field has one entry for each.

    Args:
        patient: with other patients, the networks as they are.
        patient_df: number of patients − 1.
        seed: what other seeds add, 0 or more; 0 where unknown.
        observed, seed_df: as in `SeedPart`; `observed` is NaN where there is one seed.
    """

    patient: np.ndarray
    patient_df: np.ndarray
    seed: np.ndarray
    observed: np.ndarray
    seed_df: np.ndarray

    @cached_property
    def over_seeds(self) -> np.ndarray:
        """True where the spread over seeds is known."""
        return ~np.isnan(self.observed)

    @cached_property
    def total(self) -> np.ndarray:
        """Squared standard error over patients and seeds."""
        total: np.ndarray = self.patient + self.seed
        return total

    @cached_property
    def df(self) -> np.ndarray:
        """Degrees of freedom of `total`. Source: Satterthwaite 1946, doi:10.2307/3002019."""
        observed = np.where(self.over_seeds, self.observed, 0.0)
        terms = observed**2 / self.seed_df + self.patient**2 / self.patient_df
        safe = np.where(terms > 0, terms, 1.0)
        df: np.ndarray = np.where(terms > 0, np.minimum(self.total**2 / safe, self.patient_df), self.patient_df)
        return np.maximum(df, np.where(self.over_seeds, np.minimum(self.seed_df, self.patient_df), self.patient_df))

    def seed_widening(self, tail: np.ndarray) -> np.ndarray:
        """Return what seeds add to the square of an interval's half-width, 0 or more.

        Two published ways bound it: one t quantile with Satterthwaite's degrees of freedom, which in simulation is too
        short with two or three seeds, and the sum of the squares of both parts' half-widths, which is too long. Their
        mean covers what it says (docs/statistics.md).

        Args:
            tail: probability outside, on each side; one for all or one for each entry.

        Source: Hillis 2014, doi:10.1002/sim.5926 (the first); Zou & Donner 2008, doi:10.1002/sim.3095 (the second).
        """
        patients = _t(tail, self.patient_df) ** 2 * self.patient
        together = np.maximum(_t(tail, self.df) ** 2 * self.total - patients, 0.0)
        apart = _t(tail, self.seed_df) ** 2 * self.seed
        return np.where(self.over_seeds, (together + apart) / 2, 0.0)

    def half_width(self, tail: np.ndarray) -> np.ndarray:
        """Return half the width of the symmetric interval with `tail` outside on each side."""
        width: np.ndarray = np.sqrt(_t(tail, self.patient_df) ** 2 * self.patient + self.seed_widening(tail))
        return width

    def p(self, differences: np.ndarray) -> np.ndarray:
        """Return the two-sided probability at which the symmetric interval just reaches 0."""
        low, high = np.full(len(differences), np.log(1e-16)), np.zeros(len(differences))
        for _ in range(32):
            middle = (low + high) / 2
            outside = np.abs(differences) > self.half_width(np.exp(middle) / 2)
            low, high = np.where(outside, low, middle), np.where(outside, middle, high)
        return np.where(differences == 0, 1.0, np.exp(high))


def seed_part(totals: np.ndarray, counts: np.ndarray, fold: np.ndarray) -> SeedPart:
    """Separate what seeds do from what patients do.

    Args:
        totals, counts: (seeds, patients) sums of values and numbers of cases.
        fold: (patients,) number of the fold that tests each patient.

    Source: Obuchowski & Rockette 1995, doi:10.1080/03610919508813243; Hillis 2014, doi:10.1002/sim.5926 (readers there
    are seeds here).
    """
    everything = counts.sum() / len(counts)
    observed = shared = weights = squares = 0.0
    for number in np.unique(fold):
        mine = fold == number
        kept = counts[:, mine].sum(axis=1) > 0
        seeds = int(kept.sum())
        if seeds < 2:
            continue
        total, count = totals[:, mine][kept], counts[:, mine][kept]
        sizes = count.sum(axis=1, keepdims=True)
        share = (float(sizes.mean()) / everything) ** 2 / seeds
        means = total.sum(axis=1, keepdims=True) / sizes
        patients = np.count_nonzero(count.sum(axis=0))
        observed += share * float(means.var(ddof=1))
        if patients > 1:
            moved = ((total - means * count) / sizes).var(axis=0, ddof=1).sum()
            shared += share * float(moved) * patients / (patients - 1)
        weights += share
        squares += share**2 / (seeds - 1)
    if not weights:
        return SeedPart(float("nan"), float("nan"), 1.0, float("nan"))
    return SeedPart(observed, shared, weights**2 / squares, weights)


def pooled(parts: list[SeedPart]) -> SeedPart | None:
    """Return what seeds do to one training of an average arm (share 1), or None where no arm has two seeds.

    Args:
        parts: of arms that are trained independently; one whose networks are another's would count twice.
    """
    known = [part for part in parts if not np.isnan(part.observed)]
    if not known:
        return None
    df = np.array([part.df for part in known])
    observed = np.array([part.observed / part.share for part in known])
    shared = np.array([part.shared / part.share for part in known])
    squares = (df * observed**2).sum()
    together = float((df * observed).sum() ** 2 / squares) if squares > 0 else float(df.sum())
    return SeedPart(float(df @ observed / df.sum()), float(df @ shared / df.sum()), together, 1.0)


def spread_of(
    patient: np.ndarray, patient_df: np.ndarray, parts: list[list[SeedPart]], average: SeedPart | None = None
) -> Spread:
    """Put patients and seeds together.

    Args:
        patient, patient_df: as in `Spread`.
        parts: for each mean its arm's part; for each difference those of its two arms, trained independently.
        average: of all arms. No arm is then taken to be more repeatable than this: two or three seeds often lie close
            together by chance, and among many pairs those that do would make the claims.
    """
    observed = np.array([[part.observed for part in both] for both in parts])
    shared = np.array([[part.shared for part in both] for both in parts])
    df = np.array([[part.df for part in both] for both in parts])
    total = observed.sum(axis=1)
    seed = np.maximum(np.nan_to_num(total - shared.sum(axis=1)), 0.0)
    terms = (observed**2 / df).sum(axis=1)
    usable = terms > 0
    seed_df = np.where(usable, total**2 / np.where(usable, terms, 1.0), df.min(axis=1))
    if average is not None:
        share = np.array([[part.share for part in both] for both in parts]).sum(axis=1)
        usual = share * max(average.observed - average.shared, 0.0)
        # Comparisons with NaN are False: where seeds are unknown they stay so.
        calmer = usual >= np.where(np.isnan(total), np.inf, seed)
        seed = np.where(calmer, usual, seed)
        total = np.where(calmer, share * average.observed, total)
        seed_df = np.where(calmer, average.df, seed_df)
    return Spread(patient, patient_df, seed, total, seed_df)


def _t(tail: np.ndarray, df: np.ndarray) -> np.ndarray:
    from scipy.special import stdtrit

    quantile: np.ndarray = -stdtrit(df, np.broadcast_to(tail, np.shape(df)))
    return quantile
