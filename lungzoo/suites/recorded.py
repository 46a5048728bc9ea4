"""Finds the records of a suite by what a person calls it."""

from __future__ import annotations

from collections.abc import Callable

from lungzoo.content import content_names, find_content
from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.suites.grid import load_suite
from lungzoo.tracking.record import SuitePlan
from lungzoo.tracking.tracker import Tracker

OpenTracker = Callable[[str], Tracker]


def recorded_suite(suite: str, open_tracker: OpenTracker) -> tuple[SuitePlan, Tracker]:
    """Return the plan of a suite's newest run, and the store of its records.

    Args:
        suite: name of a shipped suite, path of a .toml file, or the name that a suite of one's own was recorded under.
        open_tracker: from a suite's name to the store of its records.

    Raises:
        UsageError: no such suite, or no run of it is recorded.
    """
    shipped = _is_known(suite)
    name = load_suite(suite).name if shipped else suite
    tracker = open_tracker(name)
    plan = tracker.last_plan()
    if plan is not None:
        return plan, tracker
    if shipped:
        raise UsageError(f"No run of suite '{name}' in {tracker.uri}. Start one with: lungzoo bench run {suite}")
    see = f"lungzoo list suites. Of your own, give the .toml file: none called '{suite}' is recorded in {tracker.uri}"
    raise UnknownNameError("suite", suite, content_names("suites"), see)


def is_recorded(suite: str, open_tracker: OpenTracker) -> bool:
    """Return whether a suite of that name ships with lungzoo or has a run."""
    return suite in content_names("suites") or open_tracker(suite).last_plan() is not None


def _is_known(suite: str) -> bool:
    try:
        find_content("suites", suite)
    except UnknownNameError:
        return False
    return True
