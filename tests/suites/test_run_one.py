"""What `run_one` makes of a process that ends well, late or not at all."""

import pytest

from lungzoo.events import RunEnded
from lungzoo.suites.execute import run_one
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.workspace import Workspace


class Ends:
    """An executor that relays the given events and then ends for the given reason."""

    def __init__(self, reason: str, *events: RunEnded) -> None:
        self.reason, self.events = reason, events

    def run(self, job, observe) -> str:
        for event in self.events:
            observe(event)
        return self.reason


@pytest.fixture
def go(tiny, phantom, tracker, tmp_path):
    tracker.experiment, tracker.uri = "s", "none"

    def run(executor, fresh: bool = False) -> str:
        return run_one(
            tiny, phantom, tracker=tracker, runs=tmp_path, executor=executor, observe=lambda event: None, fresh=fresh
        )  # fmt: skip

    return run


def test_a_crash_after_the_record_does_not_make_a_second_one(go, tracker):
    ended = RunEnded("arm", 0, "finished", "", 0.7, 1.0)
    assert go(Ends("the process was ended by SIGSEGV.", ended)) == "finished"
    assert not tracker.records


def test_an_older_success_does_not_hide_a_failure(go, tracker, tiny, phantom):
    fingerprint = tiny.fingerprint(phantom.fingerprint)
    tracker.records[fingerprint] = RunRecord(fingerprint, tiny.arm, 0, "finished")
    assert go(Ends("the process was ended by SIGKILL.")) == "failed"
    assert tracker.records[fingerprint].reason == "the process was ended by SIGKILL."


def test_a_fresh_run_forgets_the_checkpoints(go, tiny, phantom, tmp_path):
    checkpoint = Workspace(tmp_path, tiny.fingerprint(phantom.fingerprint)).checkpoints / "epoch"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    go(Ends("the process was ended by SIGKILL."))
    assert checkpoint.exists()
    go(Ends("the process was ended by SIGKILL."), fresh=True)
    assert not checkpoint.exists()


@pytest.fixture
def leave(tiny, phantom, tmp_path):
    """Leave an outcome that the store did not take."""

    def outcome(status: str) -> Workspace:
        workspace = Workspace(tmp_path, tiny.fingerprint(phantom.fingerprint))
        with workspace.packing() as folder:
            RunRecord(workspace.path.name, tiny.arm, 0, status).save(folder / "record.json")
        return workspace

    return outcome


class Delivers(Ends):
    """An executor that delivers what waits, as a run does, and says so; else it ends well."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__("", RunEnded("arm", 0, "finished", "", 0.7, 1.0))
        self.workspace, self.did = workspace, []

    def run(self, job, observe) -> str:
        self.did.append("delivered" if self.workspace.results() else "trained")
        self.workspace.delivered(keep_progress=False)
        return super().run(job, observe)


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_fresh_run_forgets_a_failure_that_waits_and_trains_once(go, leave, status):
    executor = Delivers(leave(status))
    assert go(executor, fresh=True) == "finished"
    assert executor.did == ["trained"]
    assert not executor.workspace.outbox.exists()


def test_a_fresh_run_delivers_results_that_wait_first(go, leave):
    executor = Delivers(leave("finished"))
    go(executor, fresh=True)
    assert executor.did == ["delivered", "trained"]
