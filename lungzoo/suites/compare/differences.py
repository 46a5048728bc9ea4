"""The difference of two arms: means, interval, test, other metrics, and what the test set could show."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.contract import METRICS, CaseMetric
from lungzoo.statistics.bootstrap import Intervals, intervals
from lungzoo.statistics.cases import TooFew
from lungzoo.statistics.paired import Comparison, compare
from lungzoo.statistics.permutation import holm
from lungzoo.statistics.resolution import Resolution, resolution
from lungzoo.statistics.spread import Spread
from lungzoo.suites.compare.comparable import Incomparable
from lungzoo.suites.compare.pairs import Pair, Pairs, pair_up
from lungzoo.suites.compare.sides import Side, load_side
from lungzoo.suites.recorded import OpenTracker
from lungzoo.suites.report.analysis import DRAWS

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """Of one arm.

    Args:
        mean: over seeds and cases.
        low, high: its 95% interval.
        seeds: that it is over.
        over_seeds: whether the interval speaks of other seeds too.
    """

    mean: float
    low: float
    high: float
    seeds: int
    over_seeds: bool


@dataclass(frozen=True)
class Difference:
    """Of one metric between two arms, first minus second.

    Args:
        metric: what is compared.
        first, second: the two means.
        difference: of the means.
        low, high: its 95% interval, not corrected.
        p: paired test of this pair.
        p_holm: corrected over the pairs that are shown.
        cases, patients: that it rests on.
        over_seeds: whether interval and test speak of other seeds too; else they hold for these networks.
    """

    metric: CaseMetric
    first: Mean
    second: Mean
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    cases: int
    patients: int
    over_seeds: bool

    @property
    def holds_up(self) -> bool:
        """Whether chance is an unlikely explanation, the number of pairs considered."""
        return self.p_holm <= 1 - LEVEL


@dataclass(frozen=True)
class Compared:
    """All that is said of two sides.

    Args:
        first, second: the two sides.
        pairs: of arms.
        differences: of each pair, in the metric that was asked for.
        others: of each pair, in the other metrics that say something; their p is not corrected over metrics.
        resolution: what difference this test set could show.
        notes: what else there is to say, in words.
    """

    first: Side
    second: Side
    pairs: tuple[Pair, ...]
    differences: tuple[Difference, ...]
    others: tuple[tuple[Difference, ...], ...]
    resolution: Resolution
    notes: tuple[str, ...]


def compare_names(
    first: str, second: str, open_tracker: OpenTracker, metric: str | None = None, draws: int = DRAWS
) -> Compared:
    """Compare what two names mean; see `load_side`, `pair_up` and `compare_sides`."""
    return compare_sides(load_side(first, open_tracker), load_side(second, open_tracker), metric, draws)


def compare_sides(first: Side, second: Side, metric: str | None = None, draws: int = DRAWS) -> Compared:
    """Compare the arms of two sides, pair by pair.

    Args:
        first, second: the two sides.
        metric: name of a metric of slices; the primary one of the first side where None.
        draws: bootstrap samples and random signs.

    Raises:
        UnknownNameError, UsageError: no such metric, or none of slices.
        Incomparable: the two do not mean the same, or say nothing of the metric.
        TooFew: fewer than two patients say something of it.
    """
    primary = _metric(first, metric)
    pairs = pair_up(first, second)
    notes = list(pairs.notes)
    if not metric and second.whole and second.plan.primary_metric != primary.name:
        notes.append(f"The primary metric of {second.name} is {second.plan.primary_metric}: see --metric.")
    differences, comparison = _differences(pairs, primary, draws)
    others = _others(pairs, primary, draws, notes)
    return Compared(
        first,
        second,
        pairs.pairs,
        differences,
        tuple(tuple(found[number] for found in others) for number in range(len(pairs.pairs))),
        resolution(comparison, primary.title),
        tuple(notes),
    )


def _metric(first: Side, name: str | None) -> CaseMetric:
    metric = METRICS.get(name or first.plan.primary_metric)
    if metric.name not in first.results.metrics:
        raise UsageError(
            f"'{metric.name}' is a metric of volumes, and arms are compared by their slices. Allowed: "
            f"{', '.join(first.results.metrics)}."
        )
    return metric


def _others(pairs: Pairs, primary: CaseMetric, draws: int, notes: list[str]) -> list[tuple[Difference, ...]]:
    """Return the differences of all pairs in each metric that says something beside the primary one."""
    found = []
    for name in pairs.first.results.metrics:
        metric = METRICS.get(name)
        if metric is primary or not _says_something(pairs, name):
            continue
        try:
            found.append(_differences(pairs, metric, draws)[0])
        except (TooFew, Incomparable) as error:
            notes.append(f"{metric.title} is not compared: {error}")
    return found


def _differences(pairs: Pairs, metric: CaseMetric, draws: int) -> tuple[tuple[Difference, ...], Comparison]:
    """Return the differences of the pairs, and the comparison of these pairs alone.

    All arms are compared at once, with the others of their suites, so that each tells how far seeds vary and a pair is
    judged as in the report; the correction is over the pairs asked for.
    """
    values = pairs.values(metric.name)
    _check_values(pairs, metric, values)
    patients, folds = pairs.first.results.patients, pairs.first.results.folds
    means = intervals(values, patients, folds, draws=draws, level=LEVEL, limits=metric.limits)
    everyone = [*values, *pairs.bystanders(metric.name)]
    whole = compare(everyone, patients, folds, draws=draws, level=LEVEL)
    comparison = replace(_only(pairs.places, whole), seeds=whole.seeds[: len(values)])
    found = [_difference(metric, means, comparison, number) for number in range(len(pairs.pairs))]
    return tuple(found), comparison


def _check_values(pairs: Pairs, metric: CaseMetric, values: list[np.ndarray]) -> None:
    """Refuse a metric of which the arms do not say the same cases."""
    known = [~np.isnan(arm) for arm in values]
    apart = np.flatnonzero(np.any([(arm != known[0][0]).any(axis=0) for arm in known], axis=0))
    cases = pairs.first.results.cases
    if len(apart):
        arms = list(zip((*pairs.firsts, *pairs.seconds), known, strict=True))
        if earlier := [arm.arm for arm, there in arms if not there.any()]:
            raise Incomparable(
                f"'{earlier[0]}' has no {metric.title}, which other runs have: it may have come after that run. Run it "
                "again with --fresh."
            )
        lacking = next(arm.arm for arm, there in arms if not there[:, apart[0]].all())
        raise Incomparable(
            f"{len(apart)} of {len(cases)} test cases have a {metric.title} in one run and none in another, such as "
            f"{cases.index[apart[0]]} in '{lacking}': its per-case results are damaged. Run it again with --fresh."
        )
    if not any(arm.any() for arm in known):
        counts = ", ".join(f"{number} {group}" for group, number in cases["group"].value_counts().items())
        told = [name for name in pairs.first.results.metrics if _says_something(pairs, name)]
        raise Incomparable(
            f"No test case has a {metric.title}, whose mean is over {metric.over} cases. Received: {counts}. Choose "
            f"another metric with --metric: {', '.join(told) or 'none says anything here'}."
        )


def _says_something(pairs: Pairs, metric: str) -> bool:
    return not all(np.isnan(values).all() for values in pairs.values(metric))


def _only(places: np.ndarray, comparison: Comparison) -> Comparison:
    """Return what a comparison says of some pairs, corrected for these."""
    number = {pair: row for row, pair in enumerate(zip(comparison.first, comparison.second, strict=True))}
    rows = np.array([number[first, second] for first, second in places])
    spread = Spread(*(getattr(comparison.spread, part.name)[rows] for part in fields(Spread)))
    taken = {name: getattr(comparison, name)[rows] for name in ("first", "second", "difference", "low", "high", "p")}
    return replace(
        comparison, **taken, p_holm=holm(taken["p"]), over_seeds=comparison.over_seeds[rows], spread=spread
    )  # fmt: skip


def _difference(metric: CaseMetric, means: Intervals, comparison: Comparison, row: int) -> Difference:
    return Difference(
        metric=metric,
        first=_mean(means, comparison.first[row]),
        second=_mean(means, comparison.second[row]),
        difference=float(comparison.difference[row]),
        low=float(comparison.low[row]),
        high=float(comparison.high[row]),
        p=float(comparison.p[row]),
        p_holm=float(comparison.p_holm[row]),
        cases=comparison.cases,
        patients=comparison.patients,
        over_seeds=bool(comparison.over_seeds[row]),
    )


def _mean(means: Intervals, arm: int) -> Mean:
    ends = float(means.mean[arm]), float(means.low[arm]), float(means.high[arm])
    return Mean(*ends, int(means.seeds[arm]), bool(means.over_seeds[arm]))
