"""The smallest difference between two arms that a test set can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.statistics.cases import TooFew, patient_sums
from lungzoo.statistics.paired import Comparison
from lungzoo.statistics.permutation import smallest_p
from lungzoo.statistics.spread import Spread, seed_part, spread_of


@dataclass(frozen=True)
class Resolution:
    """What a test set can show.

    Args:
        difference: true difference that is found with the stated power; NaN where that cannot be said, infinite where
            no difference can be found.
        power: probability of finding it.
        alpha: two-sided, of one pair, not corrected.
        sentence: all of it in words, to print under the table.
    """

    difference: float
    power: float
    alpha: float
    sentence: str


def resolution(comparison: Comparison, metric: str = "Dice", power: float = 0.8, alpha: float = 0.05) -> Resolution:
    """Say how large a difference must be for this test set to find it, for the median pair of arms.

    Pairs whose two arms have the same values, such as two second stages behind the same networks, say nothing of it and
    are left out; where there are no others, nothing can be said.

    Args:
        comparison: of the arms.
        metric: its name, for the sentence.
        power: in (0.5, 1).
        alpha: two-sided, in (0, 1).

    Source: the half-width of the interval at 1 − alpha, and t(power) standard errors more; Cohen 1988, Statistical
    Power Analysis, section 2.4, for the same with known spread.
    """
    _check(power, alpha)
    pairs = len(comparison.p)
    differ = comparison.spread.patient > 0
    smallest = float(np.median(detectable(comparison.spread, power, alpha)[differ])) if differ.any() else 0.0
    seeds = comparison.seeds
    several = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()}–{seeds.max()}"
    of_seeds = f", {several} seeds" if comparison.over_seeds.all() else ""
    all_told = differ.all() or not differ.any()
    counted = f"{pairs} pairs" if all_told else f"the {differ.sum()} of {pairs} pairs whose arms differ"
    pair = "one pair" if pairs == 1 else f"the median of {counted}, before Holm's correction"
    rest = f"{pair}, {comparison.patients} patients, {comparison.cases} cases{of_seeds}"
    return _in_words(smallest, comparison.patients, metric, power, alpha, rest, bool(comparison.over_seeds.all()))


def resolution_of_one(
    values: np.ndarray,
    patients: np.ndarray,
    folds: np.ndarray | None = None,
    *,
    correlation: float | None = 0.7,
    metric: str = "Dice",
    power: float = 0.8,
    alpha: float = 0.05,
) -> Resolution:
    """Say the same where there is no second arm: it is taken to spread like this one.

    Args:
        values, patients, folds: of one arm, as for `compare`.
        correlation: of two arms' patient sums; 0.7 is an assumption, None says that nothing can be said.
        metric, power, alpha: as for `resolution`.

    Raises:
        TooFew: fewer than two patients with a value.
    """
    _check(power, alpha)
    if correlation is None:
        nothing = "With a single arm and no assumed correlation, nothing can be said about the smallest difference."
        return Resolution(float("nan"), power, alpha, nothing)
    if not -1 <= correlation <= 1:
        raise UsageError(f"A correlation is a number between −1 and 1. Received: {correlation}.")
    sums = patient_sums([values], patients, folds)
    totals, sizes = sums.totals[0].mean(axis=0), sums.counts[0].mean(axis=0)
    counted = int(np.count_nonzero(sizes))
    if counted < 2:
        raise TooFew(f"What a test set resolves needs several patients. Received: {counted} with a value.")
    centred = totals - totals.sum() / sizes.sum() * sizes
    variance = (centred**2).sum() / sizes.sum() ** 2 * counted / (counted - 1)
    part = seed_part(sums.totals[0], sums.counts[0], sums.fold)
    paired = np.array([2 * (1 - correlation) * variance])
    spread = spread_of(paired, np.array([counted - 1.0]), [[part, part]])
    smallest = float(detectable(spread, power, alpha)[0])
    seeds = f", {len(sums.totals[0])} seeds" if spread.over_seeds.all() else ""
    assumed = f"assumed: a second arm like this one, correlation {correlation:g}"
    rest = f"one pair, {counted} patients, {sums.cases[0]} cases{seeds}; {assumed}"
    return _in_words(smallest, counted, metric, power, alpha, rest, bool(spread.over_seeds.all()))


def detectable(spread: Spread, power: float, alpha: float) -> np.ndarray:
    """Return for each difference the smallest true one that is found with this power."""
    from scipy.special import stdtrit

    found: np.ndarray = spread.half_width(np.array(alpha / 2)) + stdtrit(spread.df, power) * np.sqrt(spread.total)
    return found


def _check(power: float, alpha: float) -> None:
    if not 0.5 < power < 1 or not 0 < alpha < 1:
        raise UsageError(
            f"Power and alpha are shares. Received: power {power}, alpha {alpha}. Allowed: power above 0.5 and below "
            "1, alpha above 0 and below 1."
        )


def _in_words(
    smallest: float, patients: int, metric: str, power: float, alpha: float, rest: str, over_seeds: bool
) -> Resolution:
    least = smallest_p(patients)
    if least > alpha:
        sentence = (
            f"This test set can show no difference in {metric}: with {patients} patients the smallest possible p is "
            f"{least:.2g}, above {alpha:g} ({rest})."
        )
        return Resolution(float("inf"), power, alpha, sentence)
    if smallest == 0:
        nothing = (
            f"Nothing can be said about the smallest difference in {metric}: no patient differs from another in what "
            f"tells the arms apart ({rest})."
        )
        return Resolution(float("nan"), power, alpha, nothing)
    given = "" if over_seeds else " Seed noise is not in this figure: it holds for these trained networks."
    sentence = (
        f"Two arms whose {metric} differs by {smallest:.2g} are told apart with {power:.0%} power, smaller differences "
        f"less often (two-sided {alpha:.0%}, {rest}).{given}"
    )
    return Resolution(smallest, power, alpha, sentence)
