"""What a suite leaves in MLflow: its parent run, a run per arm, the registered model."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.models.served import LOADER, shapes_of
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.summary import ArmSummary, Champion, SuiteSummary

from .test_mlflow_tracker import HISTORY, PLAN, RECORD

TINY = ModelConfig(
    name="cnn_scratch", encoder_options={"width": 4}, encoder_depth=2, decoder_channels=(4, 4), decoder_convs=1
)
ARM = "cnn_scratch / scratch"


def weights(folder: Path, kernel: float = 0.0) -> str:
    """Write numbers that are nobody's weights, with their manifest."""
    folder.mkdir(parents=True)
    np.savez(folder / "weights.npz", kernel=np.float32([kernel]))
    return manifest(folder)


def manifest(folder: Path) -> str:
    content = (folder / "weights.npz").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    values = {
        "name": "run-a", "model": TINY.model_dump(mode="json"), "file": "weights.npz", "sha256": sha256,
        "size_bytes": len(content),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(values))
    return sha256


def finish(tracker: MlflowTracker, outbox: Path, suite_id: str) -> str:
    run_id = tracker.start_run(RECORD, suite_id, None)
    RECORD.save(outbox / "record.json")
    tracker.finish_run(run_id, RECORD, HISTORY, outbox)
    return run_id


def summary(dice: float = 0.7, champion: bool = True) -> SuiteSummary:
    shape, outputs = shapes_of(TINY)
    figures = {"dice": {**RECORD.metrics["dice"], "mean": dice}}
    arms = (
        ArmSummary(ARM, ("0.750", f"{dice:.3f}", ""), replace(RECORD, metrics=figures), {"group": "a"}, chosen=True),
        ArmSummary("other / scratch", ("pending", "", "")),
    )
    return SuiteSummary(
        PLAN, "Chosen.", "| whole |", ("Arm", "Val Dice", "Test Dice", "Group"), arms, (), {"runs/finished": 1.0},
        Champion(RECORD.fingerprint, LOADER, shape, outputs, {"test_dice": "0.7000"}, "Words.") if champion else None,
    )  # fmt: skip


def test_the_parent_run_tells_what_came_out(tracker):
    from mlflow import MlflowClient

    suite_id = tracker.open_suite(PLAN, fresh=False)
    assert tracker.close_suite(suite_id, "finished", summary(champion=False)) == ""
    client = MlflowClient(tracker.uri)
    parent = client.get_run(suite_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"runs/finished": 1.0}
    assert parent.data.tags["mlflow.note.content"].startswith("Chosen.\n\n[Arms with intervals](#/experiments/1/runs?")
    assert [item.path for item in client.list_artifacts(suite_id)] == ["suite.json", "table.md"]
    tracker.close_suite(tracker.open_suite(PLAN, fresh=False), "interrupted", None)
    parent = client.get_run(suite_id)
    assert parent.info.status == "KILLED"
    assert parent.data.tags["mlflow.note.content"].startswith("Chosen.")


def test_an_arm_has_one_run_however_often_the_suite_is_closed(tracker):
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    suite_id = tracker.open_suite(PLAN, fresh=False)
    for dice in (0.7, 0.7, 0.8):
        tracker.close_suite(suite_id, "finished", summary(dice, champion=False))
    (arm,) = client.search_runs(["1"], "tags.lungzoo.kind = 'arm'")
    assert (arm.info.run_name, arm.info.status) == (f"{ARM} ★", "FINISHED")
    assert (arm.data.tags["arm"], arm.data.tags["encoder"], arm.data.tags["group"]) == (ARM, "cnn", "a")
    assert not {"seed", "fold"} & set(arm.data.tags)
    assert arm.data.tags["mlflow.parentRunId"] == suite_id
    assert [m.value for m in client.get_metric_history(arm.info.run_id, "test/dice")] == [0.7, 0.8]
    assert tracker.find([RECORD.fingerprint]) == {}  # the means are nobody's record


def test_views_are_offered_and_those_somebody_changed_stay(tracker):
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    client.set_experiment_tag("1", "mlflow.sharedViewState.lungzoo-arms", "mine")
    tracker.open_suite(PLAN, fresh=False)
    tags = client.get_experiment("1").tags
    assert tags["mlflow.sharedViewState.lungzoo-arms"] == "mine"
    assert json.loads(tags["mlflow.sharedViewState.lungzoo-failed"])["name"] == "Failed runs"


def test_new_weights_are_a_new_version_and_the_same_ones_are_not(tracker, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    suite_id = tracker.open_suite(PLAN, fresh=False)
    sha256 = weights(tmp_path / "one" / "weights")
    run_id = finish(tracker, tmp_path / "one", suite_id)
    note = tracker.close_suite(suite_id, "finished", summary())
    assert note == "The chosen weights are registered as version 1 of the model: models:/s@champion"
    version = client.get_model_version_by_alias("s", "champion")
    assert (str(version.version), version.run_id, version.description) == ("1", run_id, "Words.")
    (model,) = client.search_logged_models(["1"])
    assert version.tags == {"test_dice": "0.7000", "weights_sha256": sha256, "model_id": model.model_id}
    assert (model.source_run_id, model.status) == (run_id, "READY")
    assert {metric.key: metric.value for metric in model.metrics}["test/dice"] == 0.7
    for run in (run_id, suite_id):
        assert [output.model_id for output in client.get_run(run).outputs.model_outputs] == [model.model_id]

    assert "are already version 1 of the model" in tracker.close_suite(suite_id, "finished", summary())
    assert len(client.get_run(suite_id).outputs.model_outputs) == 1
    finish(tracker, tmp_path / "one", suite_id)  # another run, the same numbers
    tracker.find([RECORD.fingerprint])
    assert "are already version 1 of the model" in tracker.close_suite(suite_id, "finished", summary())

    weights(tmp_path / "two" / "weights", kernel=1.0)
    finish(tracker, tmp_path / "two", suite_id)
    tracker.find([RECORD.fingerprint])
    assert "are registered as version 2 of the model" in tracker.close_suite(suite_id, "finished", summary())
    assert str(client.get_model_version_by_alias("s", "champion").version) == "2"


def test_a_store_without_a_registry_is_a_remark(tracker, tmp_path, monkeypatch):
    from mlflow.exceptions import MlflowException

    from mlflow import MlflowClient

    def absent(*args, **kwargs):
        raise MlflowException("no such endpoint.")

    monkeypatch.setattr(MlflowClient, "search_model_versions", absent)
    suite_id = tracker.open_suite(PLAN, fresh=False)
    weights(tmp_path / "one" / "weights")
    finish(tracker, tmp_path / "one", suite_id)
    note = tracker.close_suite(suite_id, "finished", summary())
    assert note.startswith("The chosen weights are not registered as a model: The tracking store sqlite:")
    assert "no such endpoint" in note
    parent = MlflowClient(tracker.uri).get_run(suite_id)
    assert parent.info.status == "FINISHED"
    assert note in parent.data.tags["mlflow.note.content"]


def test_the_champion_predicts_what_lungzoo_predicts(tracker, tmp_path, monkeypatch):
    from lungzoo.models.assemble import build_model
    from lungzoo.models.load import load
    from lungzoo.weights.file import write_weights

    suite_id = tracker.open_suite(PLAN, fresh=False)
    folder = tmp_path / "one" / "weights"
    folder.mkdir(parents=True)
    write_weights(build_model(TINY), folder / "weights.npz")
    manifest(folder)
    finish(tracker, tmp_path / "one", suite_id)
    tracker.close_suite(suite_id, "finished", summary())

    from mlflow import pyfunc

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    served = pyfunc.load_model("models:/s@champion")
    batch = np.random.default_rng(0).random((2, 24, 40, 1), dtype=np.float32)
    answer = served.predict(batch)
    assert answer.shape == (2, 24, 40, 1)
    np.testing.assert_array_equal(answer, load(folder).predict_on_batch(batch))
    assert served.metadata.signature.inputs.inputs[0].shape == (-1, -1, -1, 1)
    assert served.predict(served.input_example).shape == (1, 32, 32, 1)
    with pytest.raises(Exception, match="shape"):
        served.predict(batch[..., 0])
