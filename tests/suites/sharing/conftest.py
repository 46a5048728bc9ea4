"""One run that was recorded for all tests: what it leaves does not change when it is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.data.store import PreparedDataset
from lungzoo.experiment import run_experiment
from lungzoo.schema import parse
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.record import RunRecord

QUICK = {
    "data": {"val_fraction": 0.2, "test_fraction": 0.3},
    "model": {
        "name": "cnn_scratch", "encoder_options": {"width": 4}, "encoder_depth": 2, "decoder_channels": [4, 4],
        "decoder_convs": 1,
    },
    "train": {"epochs": 1, "batch_size": 12},
    "score": {"bootstrap_draws": 100},
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A finished run and where it is."""

    run_id: str
    record: RunRecord
    tracker: MlflowTracker
    uri: str


@pytest.fixture(scope="session")
def recorded(phantom: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    uri = f"sqlite:///{folder}/mlflow.db"
    tracker = MlflowTracker("train", uri)
    config = parse(ExperimentConfig, QUICK, "test")
    record = run_experiment(config, phantom, tracker=tracker, runs=folder / "runs")
    assert record.status == "finished", record.reason
    return Recorded(tracker.run_id(record.fingerprint), record, tracker, uri)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LUNGZOO_HUB", "")
    monkeypatch.delenv("LUNGZOO_OFFLINE", raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
