"""Everything that a rendering of a suite needs: results, what they say, the table, and what lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lungzoo.suites.report.analysis import DRAWS, Analysis, analyse
from lungzoo.suites.report.classes import analyse_classes
from lungzoo.suites.report.evidence import Evidence, load_evidence
from lungzoo.suites.report.results import SuiteResults, load_results
from lungzoo.suites.report.table import ResultTable, table_of
from lungzoo.tracking.record import SuitePlan
from lungzoo.tracking.tracker import Tracker


@dataclass(frozen=True)
class Explained:
    """Maps of what an arm's model reacts to, made on request.

    Args:
        arm: its name.
        title: of the method.
        caption: settings and runs.
        picture: PNG.
    """

    arm: str
    title: str
    caption: str
    picture: bytes


@dataclass(frozen=True)
class Report:
    """A suite, half done or whole.

    Args:
        results: what was recorded, case by case.
        analysis: intervals, tests and groups of it.
        table: rows and words for people.
        tracker: where histories, curves and overlays are read from when they are first asked for.
        draws: bootstrap samples of every interval.
        explained: maps for cases of an arm; the page shows them.
    """

    results: SuiteResults
    analysis: Analysis
    table: ResultTable
    tracker: Tracker
    draws: int
    explained: tuple[Explained, ...] = ()

    @property
    def plan(self) -> SuitePlan:
        """What was asked for."""
        return self.results.plan

    @cached_property
    def evidence(self) -> dict[str, Evidence]:
        """Learning curves, probability counts and overlays of each arm with results, by arm."""
        return {arm.arm: load_evidence(arm, self.tracker) for arm in self.results.with_results}


def build_report(plan: SuitePlan, tracker: Tracker, draws: int = DRAWS) -> Report:
    """Read the records of a plan and analyse them.

    Args:
        plan: of the suite.
        tracker: store of its records.
        draws: bootstrap samples and random signs.
    """
    results = load_results(plan, tracker)
    analysis = analyse(results, draws)
    table = table_of(results, analysis, analyse_classes(results, draws))
    return Report(results, analysis, table, tracker, draws)
