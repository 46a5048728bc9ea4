"""The MLflow tracker on a real SQLite store."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.errors import StorageError, TrackingError, UsageError
from lungzoo.tracking import mlflow_tracker
from lungzoo.tracking.mlflow_connection import default_uri, has_experiment
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan

CONFIG = ExperimentConfig(model={"name": "cnn_scratch"}).model_dump(mode="json")
DATASET = {"name": "d", "fingerprint": "d" * 64, "licence": "CC0-1.0", "slices": 6}
INTERVAL = {"mean": 0.7, "low": 0.6, "high": 0.8, "cases": 10, "patients": 5}
RECORD = RunRecord(
    fingerprint="a" * 64, arm="cnn_scratch / scratch", seed=0, status="finished", config=CONFIG, dataset=DATASET,
    metrics={"dice": INTERVAL, "false_positive_rate": {**INTERVAL, "low": float("nan")}}, counts={"lesion": 10},
    validation={"val_dice": 0.75, "epoch": 2, "epochs": 2}, cost={"params": 1000},
    parts={"encoder": "cnn", "decoder": "unet"},
)  # fmt: skip
HISTORY = [{"loss": 1.0, "val_dice": 0.1}, {"loss": 0.5, "val_dice": 0.75}]
PLAN = SuitePlan("s", "A suite", "", "dice", DATASET, (PlannedRun("a" * 64, "cnn_scratch / scratch", 0, CONFIG),))


@pytest.fixture
def outbox(tmp_path):
    def make(record: RunRecord):
        folder = tmp_path / f"outbox-{record.status}-{record.reason}"
        (folder / "weights").mkdir(parents=True)
        record.save(folder / "record.json")
        (folder / "per_case.csv").write_text("case,patient,dice\nP1/0,007,0.5\n")
        (folder / "weights" / "manifest.json").write_text("{}")
        return folder

    return make


def finish(tracker, outbox, record=RECORD, suite_id=None) -> str:
    run_id = tracker.start_run(replace(record, status="failed"), suite_id, None)
    tracker.log_epoch(run_id, 0, HISTORY[0])
    tracker.finish_run(run_id, record, HISTORY, outbox(record))
    return run_id


def test_a_finished_run_can_be_read_back(tracker, outbox):
    finish(tracker, outbox)
    assert set(tracker.find(["a" * 64, "b" * 64])) == {"a" * 64}
    found = tracker.find(["a" * 64])["a" * 64]
    assert (found.status, found.metrics["dice"], found.config) == ("finished", INTERVAL, CONFIG)
    (path,) = tracker.artifacts(["a" * 64], "per_case.csv").values()
    scores = pd.read_csv(path, dtype={"patient": str})
    assert scores["patient"].tolist() == ["007"]


def test_what_mlflow_shows(tracker, outbox):
    from mlflow import MlflowClient

    suite_id = tracker.open_suite(PLAN, fresh=False)
    run_id = finish(tracker, outbox, suite_id=suite_id)
    client = MlflowClient(tracker.uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "cnn_scratch / scratch · seed 0"
    assert run.data.params["train.epochs"] == "20"
    assert run.data.params["model.name"] == "cnn_scratch"
    assert run.data.metrics["test/dice"] == 0.7
    assert run.data.metrics["test/dice_ci_low"] == 0.6
    assert run.data.tags["mlflow.parentRunId"] == suite_id
    assert run.data.tags["arm"] == "cnn_scratch / scratch"
    assert run.inputs.dataset_inputs[0].dataset.digest == "d" * 12
    assert [m.step for m in client.get_metric_history(run_id, "train/loss")] == [1, 2]  # the missing epoch was added
    assert {m.step for m in client.get_metric_history(run_id, "test/dice")} == {0}  # so that MLflow draws a bar
    assert {item.path for item in client.list_artifacts(run_id)} >= {"per_case.csv", "record.json", "weights"}


def test_what_a_run_can_be_found_by(tracker, outbox):
    from mlflow import MlflowClient

    tags = MlflowClient(tracker.uri).get_run(finish(tracker, outbox)).data.tags
    expected = {
        "encoder": "cnn", "decoder": "unet", "model": "cnn_scratch", "recipe": "scratch", "weights": "none",
        "seed": "0", "fold": "none", "phase": "baseline", "dataset": "d",
    }  # fmt: skip
    assert {key: tags[key] for key in expected} == expected


def test_tables_and_description_of_a_run(tracker, outbox):
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    run = client.get_run(finish(tracker, outbox))
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "metrics.json", "type": "table"}, {"path": "per_case.json", "type": "table"}
    ]  # fmt: skip
    cases = tracker.artifacts(["a" * 64], "per_case.json")["a" * 64]
    assert json.loads(cases.read_text()) == {"columns": ["case", "patient", "dice"], "data": [["P1/0", "007", 0.5]]}
    figures = json.loads(tracker.artifacts(["a" * 64], "metrics.json")["a" * 64].read_text())
    assert figures["data"] == [["dice", 0.7, 0.6, 0.8, 10, 5], ["false_positive_rate", 0.7, None, 0.8, 10, 5]]
    assert run.data.tags["mlflow.note.content"].startswith(
        "Test Dice **0.700** [0.600, 0.800]: 10 slices with a lesion of 5 patient(s). "
        "Best validation Dice 0.750, epoch 2 of 2."
    )


def test_a_run_that_failed_says_why(tracker, outbox):
    from mlflow import MlflowClient

    run = MlflowClient(tracker.uri).get_run(finish(tracker, outbox, replace(RECORD, status="failed", reason="no luck")))
    assert run.info.status == "FAILED"
    assert run.data.tags["mlflow.note.content"].startswith("**failed**: no luck")


def test_the_newest_record_counts(tracker, outbox):
    finish(tracker, outbox)
    time.sleep(0.01)
    finish(tracker, outbox, replace(RECORD, status="failed", reason="later"))
    assert tracker.find(["a" * 64])["a" * 64].reason == "later"


def test_a_record_whose_file_is_gone_is_none(tracker, outbox, tmp_path):
    finish(tracker, outbox)
    shutil.rmtree(tmp_path / "mlartifacts")
    assert tracker.find(["a" * 64]) == {}
    assert tracker.unreadable == {"cnn_scratch / scratch · seed 0"}


def test_artifacts_that_do_not_answer_are_not_gone(tracker, outbox, monkeypatch):
    finish(tracker, outbox)

    def silent(*asked):
        raise TrackingError("too many 503 error responses")

    monkeypatch.setattr(mlflow_tracker, "fetch", silent)
    with pytest.raises(TrackingError, match="503"):
        tracker.find(["a" * 64])
    with pytest.raises(TrackingError, match="503"):
        tracker.artifacts(["a" * 64], "per_case.csv")
    with pytest.raises(TrackingError, match="503"):
        tracker.run_record(tracker.run_id("a" * 64))
    assert tracker.unreadable == set()


def test_a_record_that_is_damaged_is_none_and_one_that_cannot_be_read_is_an_error(tracker, outbox):
    finish(tracker, outbox)
    record = tracker.artifacts(["a" * 64], "record.json")["a" * 64]
    record.write_text("{")
    assert tracker.find(["a" * 64]) == {}
    record.unlink()
    record.mkdir()
    with pytest.raises(TrackingError, match=r"record\.json cannot be read: .*Is a directory"):
        tracker.find(["a" * 64])


def test_a_store_whose_folder_was_moved_says_so(tracker, outbox, tmp_path):
    finish(tracker, outbox)
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    with pytest.raises(TrackingError, match=r"MLflow keeps absolute paths. Move the folder back"):
        MlflowTracker("s", f"sqlite:///{moved}/mlflow.db")
    moved.rename(tmp_path)


def test_a_skipped_run_is_replaced_by_a_finished_one(tracker, outbox):
    finish(tracker, outbox, replace(RECORD, status="skipped", reason="no weights"))
    time.sleep(0.01)
    assert tracker.find(["a" * 64])["a" * 64].reason == "no weights"
    finish(tracker, outbox)
    assert tracker.find(["a" * 64])["a" * 64].status == "finished"


def test_the_same_plan_goes_on_in_its_parent_run_a_fresh_one_does_not(tracker):
    first = tracker.open_suite(PLAN, fresh=False)
    assert tracker.open_suite(PLAN, fresh=False) == first
    assert tracker.open_suite(PLAN, fresh=True) != first
    other = replace(PLAN, runs=(replace(PLAN.runs[0], fingerprint="b" * 64),))
    assert tracker.open_suite(other, fresh=False) != first
    assert tracker.last_plan() == other


def test_a_suite_file_that_was_edited_is_the_plan_from_its_next_run_on(tracker):
    from mlflow import MlflowClient

    suite_id = tracker.open_suite(PLAN, fresh=False)
    edited = replace(PLAN, title="Another title", description="More words", primary_metric="nsd")
    assert tracker.open_suite(edited, fresh=False) == suite_id
    assert tracker.last_plan() == edited
    assert MlflowClient(tracker.uri).get_run(suite_id).info.run_name == "Another title"


def test_the_plan_that_was_gone_back_to_is_the_last_one(tracker):
    from mlflow import MlflowClient

    other = replace(PLAN, runs=(replace(PLAN.runs[0], fingerprint="b" * 64),))
    first, second = (tracker.open_suite(plan, fresh=False) for plan in (PLAN, other))
    assert tracker.open_suite(PLAN, fresh=False) == first
    assert tracker.last_plan() == PLAN
    for suite_id in (first, second):  # as an older version left them: it is known when they began
        MlflowClient(tracker.uri).delete_tag(suite_id, "lungzoo.opened")
    assert tracker.last_plan() == other


def test_a_plan_that_is_gone_says_so(tracker, tmp_path):
    tracker.open_suite(PLAN, fresh=False)
    shutil.rmtree(tmp_path / "mlartifacts")
    with pytest.raises(TrackingError, match=r"The plan of the newest run of suite 's' in sqlite.* is gone\. Start"):
        tracker.last_plan()


def test_a_reopened_run_stays_the_same_run(tracker):
    run_id = tracker.start_run(RECORD, None, None)
    tracker.interrupt_run(run_id)
    assert tracker.start_run(RECORD, None, run_id) == run_id
    assert tracker.start_run(RECORD, None, "0" * 32) != run_id


def test_a_run_of_another_suite_is_not_reopened(tracker, outbox):
    from mlflow import MlflowClient

    run_id = tracker.start_run(RECORD, None, None)
    tracker.interrupt_run(run_id)
    other = MlflowTracker("s-v2", tracker.uri)
    continued = other.start_run(RECORD, other.open_suite(PLAN, fresh=False), run_id)
    other.finish_run(continued, RECORD, HISTORY, outbox(RECORD))
    assert set(other.find(["a" * 64])) == {"a" * 64}
    assert tracker.find(["a" * 64]) == {}
    client = MlflowClient(tracker.uri)
    assert client.get_run(run_id).info.status == "KILLED"
    assert [m.step for m in client.get_metric_history(continued, "train/loss")] == [1, 2]  # epochs before it went on


def test_a_killed_process_does_not_leave_its_run_running(tracker):
    from mlflow import MlflowClient

    run_id = tracker.start_run(RECORD, None, None)
    client = MlflowClient(tracker.uri)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    client.set_tag(run_id, "lungzoo.pid", str(dead.pid))
    MlflowTracker("s", tracker.uri)
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_run_that_goes_on_elsewhere_is_of_that_machine(tracker, monkeypatch):
    """The first machine must not take it for one of its own whose process is gone."""
    from mlflow import MlflowClient

    run_id = tracker.start_run(RECORD, None, None)
    with monkeypatch.context() as there:
        there.setattr("platform.node", lambda: "elsewhere")
        MlflowTracker("s", tracker.uri).start_run(RECORD, None, run_id)
    tags = MlflowClient(tracker.uri).get_run(run_id).data.tags
    assert (tags["lungzoo.host"], tags["lungzoo.pid"]) == ("elsewhere", str(os.getpid()))


def test_a_run_is_found_by_the_beginning_of_its_id(tracker, outbox, tmp_path):
    run_id = finish(tracker, outbox)
    elsewhere = MlflowTracker("another", tracker.uri)
    assert elsewhere.find_run(run_id) == elsewhere.find_run(run_id[:8]) == run_id == tracker.run_id("a" * 64)
    assert elsewhere.find_run("a" * 12) == elsewhere.find_run("run-" + "a" * 12) == run_id  # by its fingerprint
    for wrong in ("0" * 32, "", "x%"):
        with pytest.raises(UsageError, match=f"No run '{wrong}' in sqlite"):
            elsewhere.find_run(wrong)


def test_of_runs_with_one_fingerprint_the_newest_finished_is_found(tracker, outbox):
    left = outbox(RECORD)
    for each in (tracker, MlflowTracker("suite", tracker.uri)):
        newest = each.start_run(replace(RECORD, status="failed"), None, None)
        each.finish_run(newest, RECORD, HISTORY, left)
    assert tracker.find_run("run-" + "a" * 12) == newest
    MlflowTracker("third", tracker.uri).start_run(RECORD, None, None)
    assert tracker.find_run("a" * 64) == newest


def test_a_run_without_weights_is_no_start(tracker):
    run_id = tracker.start_run(RECORD, None, None)
    with pytest.raises(UsageError, match="has no weights: it is not finished, or is that of a whole suite"):
        tracker.weights_manifest(run_id)


def test_no_plan_before_the_first_run(tracker):
    assert tracker.last_plan() is None


@pytest.mark.slow
def test_a_fresh_store_may_be_opened_by_several_processes_at_once(tmp_path):
    code = f"from lungzoo.tracking.mlflow_tracker import MlflowTracker; MlflowTracker('s', 'sqlite:///{tmp_path}/m.db')"
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: subprocess.run([sys.executable, "-c", code], capture_output=True), range(4)))
    assert [process.returncode for process in done] == [0] * 4, done[0].stderr[-500:]


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9 does not answer.*Check MLFLOW_TRACKING_URI"):
        MlflowTracker("s", "http://127.0.0.1:9")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot use the tracking store"):
        MlflowTracker("s", f"sqlite:///{tmp_path}/file/mlflow.db")


def test_the_uri_is_the_users_or_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert default_uri(tmp_path) == "http://server:5000"


def test_asking_for_an_experiment_makes_neither_it_nor_its_store(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert not has_experiment(uri, "quick")
    assert not list(tmp_path.iterdir())
    MlflowTracker("train", uri)
    assert [has_experiment(uri, name) for name in ("quick", "train", "quick")] == [False, True, False]


def test_plan_survives_json():
    plan = replace(PLAN, warnings=("It leaks.",))
    assert SuitePlan.from_json(plan.to_json()) == plan
    older = {key: value for key, value in json.loads(PLAN.to_json()).items() if key not in ("warnings", "tuned")}
    assert SuitePlan.from_json(json.dumps(older)) == PLAN
