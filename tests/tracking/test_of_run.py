"""One run by its id, of whichever suite, on a real SQLite store."""

import shutil
import time
from dataclasses import replace

import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.errors import UsageError
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.record import RunRecord, SuitePlan

CONFIG = ExperimentConfig(model={"name": "cnn_scratch"}).model_dump(mode="json")
DATASET = {"name": "d", "fingerprint": "d" * 64, "licence": "CC0-1.0", "slices": 6}
INTERVAL = {"mean": 0.7, "low": 0.6, "high": 0.8, "cases": 10, "patients": 5}
RECORD = RunRecord(
    "a" * 64, "cnn_scratch / scratch", 0, "finished", config=CONFIG, dataset=DATASET, metrics={"dice": INTERVAL},
    counts={"lesion": 10}, validation={"val_dice": 0.75}, cost={"params": 1000},
)  # fmt: skip


@pytest.fixture
def suite(tmp_path) -> MlflowTracker:
    return MlflowTracker("s", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def elsewhere(suite) -> MlflowTracker:
    return MlflowTracker("another", suite.uri)


def finish(tracker: MlflowTracker, record: RunRecord, folder) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    record.save(folder / "record.json")
    (folder / "note.txt").write_text(record.reason)
    run_id = tracker.start_run(record, None, None)
    tracker.finish_run(run_id, record, [], folder)
    return run_id


def test_an_older_run_of_one_fingerprint_can_be_told_from_the_newest(suite, elsewhere, tmp_path):
    first = finish(suite, replace(RECORD, reason="first"), tmp_path / "out")
    time.sleep(0.01)
    second = finish(suite, replace(RECORD, reason="second"), tmp_path / "out")
    for run_id, reason in ((first, "first"), (second, "second")):
        one = elsewhere.of_run(run_id)
        assert elsewhere.run_record(run_id).reason == one.find(["a" * 64])["a" * 64].reason == reason
        assert one.artifacts(["a" * 64], "note.txt")["a" * 64].read_text() == reason
        assert one.find(["b" * 64]) == {}
    assert suite.find(["a" * 64])["a" * 64].reason == "second"
    assert elsewhere.find(["a" * 64]) == {}


def test_a_run_without_a_record_says_so(suite, tmp_path):
    run_id = suite.start_run(RECORD, None, None)
    with pytest.raises(
        UsageError, match=rf"The run '{run_id}' \(running\) has no record\.json that can be read: it is"
    ):
        suite.run_record(run_id)
    run_id = finish(suite, RECORD, tmp_path / "out")
    shutil.rmtree(tmp_path / "mlartifacts")
    with pytest.raises(UsageError, match=r"\(finished\) has no record\.json that can be read"):
        suite.run_record(run_id)


def test_the_run_of_a_whole_suite_is_not_one_run(suite):
    suite_id = suite.open_suite(SuitePlan("s", "A suite", "", "dice", DATASET, ()), fresh=False)
    with pytest.raises(UsageError, match=r"is that of a whole suite\. Name the suite, or one of its runs"):
        suite.run_record(suite_id)
