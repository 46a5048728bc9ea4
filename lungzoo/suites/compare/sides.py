"""What a person may name to compare: a run, an arm of a suite, a whole suite."""

from __future__ import annotations

import string
from dataclasses import dataclass

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.suites.recorded import OpenTracker, is_recorded, recorded_suite
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.results import ArmResults, SuiteResults, load_results
from lungzoo.tracking.record import PlannedRun, SuitePlan
from lungzoo.tracking.tracker import Tracker

# Any suite's runs are found from here; `lungzoo train` records here.
ANY_SUITE = "train"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        name: as it was asked for.
        results: of the suite that it is part of, or of the one run.
        arms: those that are meant.
        whole: whether a whole suite is meant.
    """

    name: str
    results: SuiteResults
    arms: tuple[ArmResults, ...]
    whole: bool = False

    @property
    def plan(self) -> SuitePlan:
        """What was asked for when it was recorded."""
        return self.results.plan


def load_side(name: str, open_tracker: OpenTracker) -> Side:
    """Read what a name means.

    Args:
        name: "run:ID" or the beginning of an id, "SUITE:ARM", or a suite; see `recorded_suite`. A word that could be
            the beginning of an id is a suite where there is one of that name.
        open_tracker: from a suite's name to the store of its records.

    Raises:
        UsageError: nothing has that name, or nothing of it was recorded.
    """
    suite, arm = _parts(name)
    if suite == "run" and arm is not None:
        return _run(name, arm, open_tracker(ANY_SUITE))
    if not suite:
        raise UsageError("Nothing was named. Give a run's id, an arm as SUITE:ARM, or a suite.")
    if arm is None and set(suite) <= set(string.hexdigits) and not is_recorded(suite, open_tracker):
        return _run(name, suite, open_tracker(ANY_SUITE))
    return _suite(name, suite, arm, open_tracker)


def _parts(name: str) -> tuple[str, str | None]:
    """Return suite and arm; a path may have colons before its ending, and an arm anywhere."""
    if name.endswith(".toml"):
        return name, None
    if ".toml:" in name:
        path, _, arm = name.partition(".toml:")
        return f"{path}.toml", arm
    suite, colon, arm = name.partition(":")
    return suite, arm if colon else None


def _run(name: str, run: str, tracker: Tracker) -> Side:
    run_id = tracker.find_run(run)
    record = tracker.run_record(run_id)
    planned = PlannedRun(record.fingerprint, record.arm, record.seed, record.config)
    plan = SuitePlan(f"run:{run_id[:8]}", record.title, "", "dice", record.dataset, (planned,))
    results = load_results(plan, tracker.of_run(run_id))
    return Side(name, results, results.arms)


def _suite(name: str, suite: str, arm: str | None, open_tracker: OpenTracker) -> Side:
    plan, tracker = recorded_suite(suite, open_tracker)
    results = load_results(plan, tracker)
    if arm is None:
        return Side(name, results, results.arms, whole=True)
    return Side(name, results, (_arm(arm, suite, results),))


def _arm(name: str, suite: str, results: SuiteResults) -> ArmResults:
    """Return the arm of a name, whole or as short as tables have it."""
    short = short_names([found.arm for found in results.arms])[0]
    for found in results.arms:
        if name in (found.arm, short[found.arm]):
            return found
    raise UnknownNameError("arm", name, (*short, *short.values()), f"lungzoo bench report {suite}")
