"""`lungzoo tune postprocess` as a person meets it: a run's weights, tuned, shown, and used by `predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, UsageError
from lungzoo.experiment import run_experiment
from lungzoo.inference.tuning import grid
from lungzoo.weights.manifest import read_manifest


def command(*arguments: Any) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_a_run_to_predictions(
    phantom: PreparedDataset, tiny: Any, tracker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "THRESHOLDS", (0.3, 0.7))
    monkeypatch.setattr(grid, "MIN_AREAS_MM2", (0.0, 12.0))
    one_epoch = tiny.model_copy(update={"train": tiny.train.model_copy(update={"epochs": 1})})
    run_experiment(one_epoch, phantom, tracker=tracker, runs=tmp_path / "runs")
    out = tmp_path / "tuned"
    text = command("tune", "postprocess", tracker.kept_weights, "--data", phantom.path, "-o", out, "--test")
    lines = text.splitlines()
    patients = read_manifest(out / "manifest.toml").trained_on.patients
    val, test = len(patients.val), len(patients.test)
    assert lines[0].startswith(f"Validation: {6 * val} cases of {val} patients, ")
    assert "each slice by itself." in lines[0]
    assert any(line.startswith("chosen: ") for line in lines)
    assert any(line.startswith(f"Test, once: {6 * test} cases of {test} patients.") for line in lines)
    assert lines[-1].endswith(f"lungzoo predict SCAN -o mask.nii.gz --weights {out}")

    chosen = json.loads((out / "tuned.json").read_text())["validation"]["chosen"]
    command("predict", phantom.path, "-o", tmp_path / "found", "--format", "json", "--weights", out)
    made_with = json.loads(next((tmp_path / "found").glob("*.json")).read_text())["made_with"]
    assert (made_with["threshold"], made_with["flips"]) == (chosen["threshold"], chosen["flips"])
    assert {key: made_with["postprocess"][key] for key in chosen["postprocess"]} == chosen["postprocess"]

    with pytest.raises(UsageError, match="tuned exists already"):
        command("tune", "postprocess", tracker.kept_weights, "--data", phantom.path, "-o", out)


def test_another_dataset_is_refused(phantom: PreparedDataset, tmp_path: Path) -> None:
    weights = "lungzoo:unet_mobilenetv2_035-lidc-v1"
    with pytest.raises(ConfigError, match="'phantom' lacks 742 of the 742 patients of 'unet_mobilenetv2_035-lidc-v1'"):
        command("tune", "postprocess", weights, "--data", phantom.path, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
