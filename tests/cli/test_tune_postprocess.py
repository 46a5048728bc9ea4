"""`lungzoo tune postprocess` as a person meets it: a run's weights, tuned, shown, and used by `predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.config import ExperimentConfig
from lungzoo.data.splits.split import split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, UsageError
from lungzoo.experiment import run_experiment
from lungzoo.inference.tuning import grid
from lungzoo.models.assemble import build_model
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import WeightsManifest, read_manifest, write_manifest


def command(*arguments: Any) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def short_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "THRESHOLDS", (0.3, 0.7))
    monkeypatch.setattr(grid, "MIN_AREAS_MM2", (0.0, 12.0))


@pytest.fixture
def untrained(phantom: PreparedDataset, tiny: ExperimentConfig, tmp_path: Path) -> Path:
    """A folder like that of a run on the phantom, whose model nobody has trained."""
    folder = tmp_path / "weights"
    folder.mkdir()
    split = split_patients(phantom.cases, tiny.data, phantom.fingerprint)
    patients = {part: list(getattr(split, part)) for part in ("train", "val", "test")}
    manifest = {
        "name": "untrained",
        "model": tiny.model.model_dump(mode="json"),
        "file": "weights.npz",
        "sha256": write_weights(build_model(tiny.model, None), folder / "weights.npz"),
        "size_bytes": (folder / "weights.npz").stat().st_size,
        "trained_on": {"dataset": "phantom", "fingerprint": phantom.fingerprint, "patients": patients},
        "protocol": {"data": tiny.data.model_dump(mode="json"), "score": {"threshold": 0.5, "bootstrap_draws": 200}},
    }
    write_manifest(WeightsManifest.model_validate(manifest), folder / "manifest.toml")
    return folder


def check(weights: Path, phantom: PreparedDataset, tmp_path: Path) -> None:
    """Tune, read what is said and written, predict with it."""
    out = tmp_path / "tuned"
    text = command("tune", "postprocess", weights, "--data", phantom.path, "-o", out, "--test")
    lines = text.splitlines()
    patients = read_manifest(out / "manifest.toml").trained_on.patients
    val, test = len(patients.val), len(patients.test)
    assert lines[0].startswith(f"Validation: {6 * val} slices of {val} patient(s), ")
    assert "each slice by itself." in lines[0]
    assert any(line.startswith("chosen: ") for line in lines)
    assert f"Only {val} validation patient(s): what is chosen may fit these and no others." in lines
    assert any(line.startswith(f"Test, once: {6 * test} slices of {test} patient(s).") for line in lines)
    assert f"Whatever the difference, p of {test} patient(s) is {2 ** (1 - test):g} at least." in lines
    assert lines[-1].endswith(f"lungzoo predict SCAN -o mask.nii.gz --weights {out}")

    chosen = json.loads((out / "tuned.json").read_text())["validation"]["chosen"]
    command("predict", phantom.path, "-o", tmp_path / "found", "--format", "json", "--weights", out)
    made_with = json.loads(next((tmp_path / "found").glob("*.json")).read_text())["made_with"]
    assert (made_with["threshold"], made_with["flips"]) == (chosen["threshold"], chosen["flips"])
    assert {key: made_with["postprocess"][key] for key in chosen["postprocess"]} == chosen["postprocess"]

    with pytest.raises(UsageError, match="tuned exists already"):
        command("tune", "postprocess", weights, "--data", phantom.path, "-o", out)


def test_from_weights_to_predictions(untrained: Path, phantom: PreparedDataset, tmp_path: Path) -> None:
    check(untrained, phantom, tmp_path)


@pytest.mark.slow
def test_from_a_run_to_predictions(
    phantom: PreparedDataset, tiny: ExperimentConfig, tracker: Any, tmp_path: Path
) -> None:
    one_epoch = tiny.model_copy(update={"train": tiny.train.model_copy(update={"epochs": 1})})
    run_experiment(one_epoch, phantom, tracker=tracker, runs=tmp_path / "runs")
    check(tracker.kept_weights, phantom, tmp_path)


def test_a_folder_that_cannot_be_made_is_told_first(phantom: PreparedDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"Cannot write to .*file\. Choose a folder that you may write to"):
        command("tune", "postprocess", "no-such-weights", "--data", phantom.path, "-o", tmp_path / "file" / "out")


def test_another_dataset_is_refused(phantom: PreparedDataset, tmp_path: Path) -> None:
    weights = "lungzoo:unet_mobilenetv2_035-lidc-v1"
    with pytest.raises(ConfigError, match="'phantom' lacks 742 of the 742 patients of 'unet_mobilenetv2_035-lidc-v1'"):
        command("tune", "postprocess", weights, "--data", phantom.path, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
