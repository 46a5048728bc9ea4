"""The model card: what it says, for whom, and what it does not hide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lungzoo.suites.sharing.card import model_card, without_front_matter
from lungzoo.suites.sharing.limits import limits_of
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.manifest import Score, SecondStageEntry, WeightsManifest, read_manifest


@pytest.fixture
def manifest(recorded: Any, tmp_path: Path) -> WeightsManifest:
    found = read_manifest(recorded.tracker.weights(recorded.run_id, tmp_path) / "manifest.json")
    dice = Score(mean=0.71234, low=0.65, high=0.7777, cases=23, patients=9)
    bare = Score(mean=1.0, cases=2, patients=1)
    hd95 = Score(mean=2.84, low=1.81, high=7.62, cases=23, patients=9)
    changes = {
        "name": "tiny-v1",
        "title": "Tiny",
        "metrics": {"hd95_mm": hd95, "false_positive_rate": bare, "label_accuracy": bare, "dice": dice},
    }
    return found.model_copy(update=changes)


@pytest.fixture
def record(recorded: Any) -> RunRecord:
    found: RunRecord = recorded.record
    return found


def front(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def test_front_matter(manifest: WeightsManifest, record: RunRecord) -> None:
    found = front(model_card(manifest, record, "tiny-v1"))
    assert [found[key] for key in ("license", "library_name")] == ["cc0-1.0", "keras"]
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["type"]) == ("tiny-v1", "phantom")
    assert {"type": "dice", "name": "Test Dice", "value": 0.7123} in result["metrics"]


@pytest.mark.parametrize("licence", ["Mine: ask me # or not", "CC-BY-3.0 (as the data)\n---\nlicense: mit", '"', ""])
def test_a_licence_of_ones_own_stays_one_value(licence: str, manifest: WeightsManifest, record: RunRecord) -> None:
    card = model_card(manifest.model_copy(update={"licence": licence}), record, "tiny-v1")
    assert front(card)["license"] == "other"
    assert front(card)["license_name"] == " ".join(licence.split())


def test_every_section_is_there(manifest: WeightsManifest, record: RunRecord) -> None:
    card = without_front_matter(model_card(manifest, record, "tiny-v1", "HUB"))
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == [
        "# Tiny", "## Intended use", "## How to use it", "## Data", "## Training", "## Results", "## Limits",
        "## Licence and credit", "## Files",
    ]  # fmt: skip
    assert "**Not a medical device.**" in card.split("## ")[0]
    assert "lungzoo predict SCAN -o mask.nii.gz --weights tiny-v1 --hub HUB" in card
    assert f"{manifest.size_bytes} bytes, sha256 `{manifest.sha256}`" in card
    assert "Split by patient, seed 0: train/val/test" in card


def test_results_have_intervals_and_counts_dice_first(manifest: WeightsManifest, record: RunRecord) -> None:
    card = model_card(manifest, record, "tiny-v1")
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| Dice | 0.712 [0.650, 0.778] | 23 | 9 |",
        "| HD95, mm | 2.8 [1.8, 7.6] | 23 | 9 |",
        "| False positive rate | 1.000 | 2 | 1 |",
        "| Accuracy of the classes | 1.000 | 2 | 1 |",
    ]


def test_it_says_what_names_classes(manifest: WeightsManifest, record: RunRecord) -> None:
    assert "told apart" not in model_card(manifest, record, "tiny-v1")
    second = SecondStageEntry(name="crop_cnn", labels=("benign", "malignant"), shares=(0.5, 0.5))
    scored = replace(record, curves={"label_auc": 0.91234, "label_cases": 17.0})
    card = model_card(manifest.model_copy(update={"second_stage": second}), scored, "tiny-v1")
    assert "Lesions are told apart as benign, malignant by a second stage, `crop_cnn`" in card
    assert "Epochs: 1, of which epoch 1 was best" in card
    assert "what is marked by mistake is given one of them, too" in card
    assert "AUC of the classes: 0.912 over 17 labelled slices" in card
    scored = replace(record, curves={"label_auc": float("nan"), "label_cases": 17.0})
    assert "AUC of the classes is undefined: the 17 labelled slices are of one class." in model_card(
        manifest, scored, "tiny-v1"
    )
    headed = manifest.model.model_copy(update={"labels": ("a", "b")})
    card = model_card(manifest.model_copy(update={"model": headed}), record, "tiny-v1")
    assert "Slices are told apart as a, b by a label head." in card
    assert "marked by mistake" not in card  # a label head looks at whole slices, whatever is marked


def test_limits(manifest: WeightsManifest, record: RunRecord) -> None:
    split = {**record.split, "patients": {"train": 7, "val": 2, "test": 3}}
    found = " ".join(limits_of(manifest, replace(record, split=split)))
    assert "Only 3 test patients: the intervals are rough." in found
    assert "The data are a synthetic phantom: it has seen no patient" in found
    assert "One run with one seed" in found
    assert "Leakage" not in found
    leaky = replace(record, split={**split, "leakage": "Leakage was allowed, so the scores are too good."}, counts={})
    first, *others = limits_of(manifest.model_copy(update={"source": "run:abc"}), leaky)
    assert first == "**Leakage was allowed, so the scores are too good.**"
    assert any("No test slice was free of lesions" in limit for limit in others)
    assert any("It started from 'run:abc', whose own training patients are not all listed" in limit for limit in others)
    unnamed = replace(record, split={**split, "grouping": "case", "patients": {"train": 9, "val": 9, "test": 30}})
    assert any("The dataset names no patients" in limit for limit in limits_of(manifest, unnamed))
    assert not any("test patients: the intervals" in limit for limit in limits_of(manifest, unnamed))


def test_weights_that_find_nothing_say_so_first(manifest: WeightsManifest, record: RunRecord) -> None:
    nothing = "**It found no lesion of the validation split.**"
    blank = replace(record, validation={**record.validation, "val_dice": 0.0})
    assert limits_of(manifest, blank)[0] == nothing
    tuned = manifest.model_copy(
        update={"protocol": {**manifest.protocol, "tuned": {"validation_cases": 9, "threshold_of_metrics": 0.5}}}
    )
    assert nothing not in limits_of(tuned, blank)  # other steps were chosen, of which that figure says nothing
    seeing = replace(record, validation={**record.validation, "val_dice": 0.01})
    assert nothing not in limits_of(manifest, seeing)
