"""What a suite says of leakage that was found after its runs had finished."""

import pytest

from lungzoo.config import SuiteConfig
from lungzoo.events import ignore
from lungzoo.schema import parse
from lungzoo.suites import execute
from lungzoo.suites.grid import expand
from lungzoo.suites.report.formats.json_file import as_values
from lungzoo.suites.report.publishing.page import page
from lungzoo.suites.report.report import build_report
from lungzoo.tracking.record import PlannedRun

from ..conftest import ListTracker
from .report.conftest import Study, case_table

SUITE = {"name": "s", "title": "A suite", "seeds": [0, 1, 2], "arms": [{"models": ["unet_mobilenetv2"]}]}


class Keeps(ListTracker):
    """A tracker that keeps the plan that it is given, and nothing else of a suite."""

    unreadable = ()

    def open_suite(self, plan, fresh):
        self.plan = plan
        return "suite"

    def close_suite(self, suite_id, status, summary):
        return ""


@pytest.fixture
def run(monkeypatch, phantom, tmp_path):
    """Call a suite whose runs are all finished; two of them leak."""
    suite, store = parse(SuiteConfig, SUITE, "test"), tmp_path / "store"
    store.mkdir()
    tracker = Keeps(store)
    for each in expand(suite):
        planned = PlannedRun(
            each.fingerprint(phantom.fingerprint), each.arm, each.train.train_seed, each.model_dump(mode="json")
        )
        Study(tracker).finish(planned, case_table([0.5, 0.7]))
    leaks = {0: "It leaks.", 1: "", 2: "It leaks."}
    monkeypatch.setattr(execute, "check_experiment", lambda experiment, *_: experiment)
    monkeypatch.setattr(execute, "leakage_warning", lambda experiment, *_: leaks[experiment.train.train_seed])
    monkeypatch.setattr(execute, "summarise_suite", lambda report: None)
    given = {"tracker": tracker, "runs": tmp_path / "runs", "executor": None, "observe": ignore}
    return lambda allow: (execute.run_suite(suite, phantom, **given, allow_leakage=allow), tracker)


def test_finished_runs_are_asked_for_leaks_too(run):
    report, tracker = run(True)
    assert report.table.protocol[-1] == "It leaks."
    later = build_report(tracker.plan, tracker, 200)  # as `bench report` makes it
    assert later.table.protocol == report.table.protocol
    assert page(as_values(later)).count("- It leaks.\n") == 1


def test_a_suite_that_leaks_no_more_says_nothing(run):
    run(True)
    report, tracker = run(False)
    assert "It leaks." not in report.table.protocol
    assert tracker.plan.warnings == ()
