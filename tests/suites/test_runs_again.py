"""What a suite runs again: every run that its report would call failed or pending, and no other."""

import pytest

from lungzoo.config import SuiteConfig
from lungzoo.events import Note, RunEnded
from lungzoo.schema import parse
from lungzoo.suites import execute
from lungzoo.suites.grid import expand
from lungzoo.suites.report.results import load_results
from lungzoo.tracking.record import PlannedRun

from ..conftest import ListTracker
from .report.conftest import Study, case_table

GOOD, OLDER, LOST, DAMAGED, NEVER_RUN = range(5)
SUITE = {"name": "s", "title": "A suite", "seeds": list(range(5)), "arms": [{"models": ["unet_mobilenetv2"]}]}


class Keeps(ListTracker):
    """A tracker that keeps the plan that it is given, and nothing else of a suite."""

    unreadable, experiment, uri = (), "s", "none"

    def open_suite(self, plan, fresh):
        self.plan = plan
        return "suite"

    def close_suite(self, suite_id, status, summary):
        return ""


class Counts:
    """An executor that ends every run at once."""

    def __init__(self) -> None:
        self.seeds = []

    def run(self, job, observe) -> str:
        self.seeds.append(job.config["train"]["train_seed"])
        observe(RunEnded("arm", 0, "finished", "", 0.7, 1.0))
        return ""


@pytest.fixture
def tracker(phantom, tmp_path) -> Keeps:
    store = tmp_path / "store"
    store.mkdir()
    tracker = Keeps(store)
    for each in expand(parse(SuiteConfig, SUITE, "test"))[:NEVER_RUN]:
        seed = each.train.train_seed
        name = each.fingerprint(phantom.fingerprint)
        record = Study(tracker).finish(
            PlannedRun(name, each.arm, seed, each.model_dump(mode="json")),
            None if seed == LOST else case_table([0.5, 0.7]),
            **({"metrics_version": 0} if seed == OLDER else {}),
        )
        if record.seed == DAMAGED:
            (store / name / "per_case.csv").write_text("case,dice\nx,0.5\n")
    return tracker


def test_what_the_report_does_not_take_runs_again(monkeypatch, phantom, tracker, tmp_path):
    monkeypatch.setattr(execute, "check_experiment", lambda experiment, *_: experiment)
    monkeypatch.setattr(execute, "summarise_suite", lambda report: None)
    executor, events = Counts(), []
    given = {"tracker": tracker, "runs": tmp_path / "runs", "executor": executor, "observe": events.append}
    report = execute.run_suite(parse(SuiteConfig, SUITE, "test"), phantom, **given)
    assert executor.seeds == [OLDER, LOST, DAMAGED, NEVER_RUN]
    assert [event.text for event in events if isinstance(event, Note)] == [
        "The report cannot take the results of 3 finished run(s): their cases are gone or damaged, or another version "
        "of the metrics scored them. They run again."
    ]
    (arm,) = report.results.arms
    assert [record.seed for record in arm.finished] == [GOOD]
    reasons = [record.reason for record in load_results(tracker.plan, tracker).arms[0].records if record.reason]
    assert len(reasons) == 3
    assert all(reason.endswith("Run it again.") for reason in reasons)

    executor.seeds.clear()
    execute.run_suite(parse(SuiteConfig, SUITE, "test"), phantom, **given, fresh=True)
    assert executor.seeds == [GOOD, OLDER, LOST, DAMAGED, NEVER_RUN]
