"""What the results of a suite say: intervals, paired tests, groups, and what the test set resolves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.metrics.contract import METRICS, CaseMetric
from lungzoo.statistics.bootstrap import Intervals, intervals
from lungzoo.statistics.cases import DifferentCases, TooFew
from lungzoo.statistics.paired import Comparison, compare
from lungzoo.statistics.resolution import Resolution, resolution, resolution_of_one
from lungzoo.suites.report.results import ArmResults, SuiteResults

DRAWS = 10_000


@dataclass(frozen=True)
class Analysis:
    """The statistics of a suite.

    Args:
        primary: the metric that arms are compared by.
        figures: {arm: {metric: {mean, low, high, cases, patients, seeds, over_seeds}}}; NaN where nothing can be said.
        compared: names of the arms of `comparison`, in its order.
        comparison: of every pair of arms whose runs are all finished; None where it cannot be made.
        resolution: the smallest difference that this test set shows; None without results.
        notes: sentences that belong under the table.
    """

    primary: CaseMetric
    figures: dict[str, dict[str, dict[str, float]]]
    compared: tuple[str, ...]
    comparison: Comparison | None
    resolution: Resolution | None
    notes: tuple[str, ...]

    def letters(self, arm: str) -> str:
        """Return the groups that an arm is in, "" where it is not compared; who shares one is not told apart."""
        return self.comparison.letters[self.compared.index(arm)] if self.comparison and arm in self.compared else ""


def analyse(results: SuiteResults, draws: int = DRAWS) -> Analysis:
    """Analyse a suite, half done or whole.

    Args:
        results: of the suite.
        draws: bootstrap samples and random signs.
    """
    primary = METRICS.get(results.plan.primary_metric)
    notes: list[str] = []
    figures = _figures(results, draws, notes)
    comparison = _compare(results, primary, draws, notes)
    smallest = _resolution(results, primary, comparison)
    if comparison is not None:
        notes += comparison.notes
    names = tuple(arm.arm for arm in results.comparable)
    return Analysis(primary, figures, names, comparison, smallest, tuple(dict.fromkeys(notes)))


def _figures(results: SuiteResults, draws: int, notes: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    figures: dict[str, dict[str, dict[str, float]]] = {arm.arm: {} for arm in results.with_results}
    if not figures:
        return figures
    for name in results.metrics:
        metric = METRICS.get(name)
        values = [results.values(arm, name) for arm in results.with_results]
        found = intervals(values, results.patients, results.folds, draws=draws, limits=metric.limits)
        if name == results.plan.primary_metric:
            notes += found.notes
        for number, arm in enumerate(results.with_results):
            figures[arm.arm][name] = _figure(found, number)
    return figures


def _figure(found: Intervals, arm: int) -> dict[str, float]:
    keys = ("mean", "low", "high", "cases", "patients", "seeds", "over_seeds")
    return {key: getattr(found, key)[arm].item() for key in keys}


def _compare(results: SuiteResults, primary: CaseMetric, draws: int, notes: list[str]) -> Comparison | None:
    arms = results.comparable
    if len(arms) < 2:
        return None
    values = [results.values(arm, primary.name) for arm in arms]
    try:
        return compare(
            values, results.patients, results.folds, draws=draws, higher_is_better=primary.better == "higher",
            order=np.arange(len(arms)),
        )  # fmt: skip
    except (TooFew, DifferentCases) as error:
        notes.append(f"Arms are not compared: {error}")
        return None


def _resolution(results: SuiteResults, primary: CaseMetric, comparison: Comparison | None) -> Resolution | None:
    if comparison is not None:
        return resolution(comparison, primary.title)
    arms: tuple[ArmResults, ...] = results.with_results
    if not arms:
        return None
    try:
        values = results.values(arms[0], primary.name)
        return resolution_of_one(values, results.patients, results.folds, metric=primary.title)
    except TooFew:
        return None
