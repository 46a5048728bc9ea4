"""What the machine did while a run trained."""

import time
from dataclasses import replace

import pytest

from lungzoo.errors import TrackingError
from lungzoo.tracking import mlflow_system
from lungzoo.tracking.mlflow_system import MachineWatch

from .test_mlflow_tracker import HISTORY, RECORD

NAMES = {
    "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes", "system/system_memory_usage_percentage"
}  # fmt: skip


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")


def wait_for_samples(watch: MachineWatch, count: int = 1) -> None:
    end = time.monotonic() + 20
    while len(watch.waiting) < count:
        assert time.monotonic() < end, "no sample was taken"
        time.sleep(0.02)


def test_samples_wait_until_they_are_fetched(often):
    watch = MachineWatch("r", int(time.time() * 1000) - 5000)
    wait_for_samples(watch)
    found = watch.stop()
    assert {metric.key for metric in found} >= NAMES
    assert all(5 <= metric.step < 60 for metric in found)
    memory = next(metric.value for metric in found if metric.key.endswith("memory_usage_percentage"))
    assert 0 < memory < 100


def test_mlflows_own_variables_switch_it_off_name_the_machine_and_average(often, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    off = MachineWatch("r", 0)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node-1")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "3")
    watch = MachineWatch("r", 0)
    wait_for_samples(watch)
    assert all(metric.key.startswith("system/node-1/") for metric in watch.stop())
    assert off.stop() == []


def test_whatever_is_wrong_with_the_figures_the_run_goes_on(often, monkeypatch):
    monkeypatch.setattr(mlflow_system, "_monitors", lambda: 1 / 0)
    watch = MachineWatch("r", 0)
    time.sleep(0.2)
    assert watch.stop() == []


def test_they_are_logged_with_the_epochs_and_with_the_end(often, tracker, tmp_path):
    from mlflow import MlflowClient

    (tmp_path / "outbox").mkdir()
    run_id = tracker.start_run(replace(RECORD, status="failed"), None, None)
    wait_for_samples(tracker._watch)
    tracker.log_epoch(run_id, 0, HISTORY[0])
    client = MlflowClient(tracker.uri)
    before = client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert before
    wait_for_samples(tracker._watch)
    tracker.finish_run(run_id, RECORD, HISTORY, tmp_path / "outbox")
    assert len(client.get_metric_history(run_id, "system/cpu_utilization_percentage")) > len(before)
    assert tracker._watch is None


def test_a_store_that_does_not_answer_loses_no_sample(often, tracker, monkeypatch):
    run_id = tracker.start_run(RECORD, None, None)
    wait_for_samples(tracker._watch)
    kept = list(tracker._watch.waiting)

    def silent(*args, **kwargs):
        raise TrackingError("gone")

    monkeypatch.setattr(tracker, "_log", silent)
    with pytest.raises(TrackingError):
        tracker.log_epoch(run_id, 0, HISTORY[0])
    assert tracker._watch.stop()[: len(kept)] == kept
