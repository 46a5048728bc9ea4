"""What a suite says of leakage that was found after its runs had finished."""

from types import SimpleNamespace

from lungzoo.events import ignore
from lungzoo.suites import execute


class Finished:
    """A tracker whose runs are all finished."""

    unreadable = ()

    def find(self, fingerprints):
        return {fingerprint: SimpleNamespace(status="finished") for fingerprint in fingerprints}

    def open_suite(self, plan, fresh):
        return "suite"

    def close_suite(self, suite_id, status, summary):
        return ""


def test_finished_runs_are_asked_for_leaks_too(monkeypatch, tmp_path):
    runs = [SimpleNamespace(fingerprint=name, arm=name) for name in ("one", "two", "three")]
    leaks = {"one": "It leaks.", "two": "", "three": "It leaks."}
    monkeypatch.setattr(execute, "expand", lambda suite: list(leaks))
    monkeypatch.setattr(execute, "check_experiment", lambda experiment, *_: experiment)
    monkeypatch.setattr(execute, "leakage_warning", lambda experiment, *_: leaks[experiment])
    monkeypatch.setattr(execute, "plan_suite", lambda *_: SimpleNamespace(title="A suite", runs=runs))
    monkeypatch.setattr(execute, "build_report", lambda plan, tracker, warnings: warnings)
    monkeypatch.setattr(execute, "summarise_suite", lambda report: None)
    given = {"tracker": Finished(), "runs": tmp_path / "runs", "executor": None, "observe": ignore}
    assert execute.run_suite(None, None, **given, allow_leakage=True) == ["It leaks."]
    assert execute.run_suite(None, None, **given) == []
