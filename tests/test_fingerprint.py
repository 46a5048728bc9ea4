"""What a run's identity is made of: every setting, the dataset, the revision of the code."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from lungzoo import config
from lungzoo.config import (
    AugmentConfig,
    DataConfig,
    ExperimentConfig,
    ModelConfig,
    ScoreConfig,
    TrainConfig,
    TransferConfig,
)
from lungzoo.config import experiment as experiment_module
from lungzoo.schema import Frozen, parse

EXPERIMENT: dict[str, Any] = {"model": {"name": "unet_resnet50"}}


def experiment(**changes: dict[str, Any]) -> ExperimentConfig:
    values = {**EXPERIMENT, **changes, "model": EXPERIMENT["model"] | changes.get("model", {})}
    return parse(ExperimentConfig, values, "test")


CHANGES: dict[type[Frozen], dict[str, Any]] = {
    DataConfig: {
        "window_hu": [-1000, 150],
        "windows": ["lung", [-100, 200]],
        "normalise": "zscore",
        "preprocess": ["lung_crop"],
        "spacing_mm": 1.0,
        "size_px": 96,
        "consensus_readers": 3,
        "disputed": "keep",
        "max_slices_per_volume": 4,
        "labels": ["benign", "malignant"],
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "split_seed": 1,
        "split": "published",
        "split_file": "split.json",
        "split_sha256": "0" * 64,
        "folds": 5,
        "fold": 1,
        "inner_folds": 4,
        "inner_fold": 1,
        "groups": "near",
        "stratify": "lesion",
    },
    AugmentConfig: {
        "preset": "medium",
        "shift_px": 4,
        "flip": False,
        "intensity": 0.0,
        "warp_share": 0.3,
        "rotate_deg": 10.0,
        "scale": 0.2,
        "elastic": 0.02,
        "effect_share": 0.3,
        "gamma": 0.4,
        "noise": 0.1,
        "blur_px": 1.0,
        "low_resolution": 2.0,
        "cutout": 0.3,
        "mixup": 0.4,
        "copy_paste": 0.1,
        "foreground": 0.5,
    },
    ModelConfig: {
        "name": "unet_cnn",
        "encoder_options": {"alpha": 0.35},
        "encoder_depth": 4,
        "decoder_channels": [128, 64, 32, 16, 8],
        "decoder_convs": 1,
        "decoder_norm": "group",
        "decoder_attention": "scse",
        "decoder_dropout": 0.2,
        "decoder_upsampling": "bilinear",
        "deep_supervision": True,
        "in_channels": 3,
        "in_slices": 3,
        "classes": 2,
        "labels": ["benign", "malignant"],
    },
    TransferConfig: {
        "recipe": "frozen",
        "weights": "imagenet",
        "options": {"decay": 0.5},
        "new_head": True,
        "sha256": "0" * 64,
    },
    TrainConfig: {
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "warmup_epochs": 1.0,
        "loss": "dice",
        "label_weight": 0.5,
        "patience": 5,
        "batchnorm_momentum": 0.99,
        "precision": "mixed_float16",
        "deterministic": False,
        "jit_compile": True,
        "train_seed": 1,
    },
    ScoreConfig: {"threshold": 0.4, "min_lesion_px": 10, "shift_px": 4, "bootstrap_draws": 1000},
}

STAGE: dict[str, Any] = {"name": "crop_cnn", "labels": ["benign", "malignant"]}

TOP_LEVEL_CHANGES: dict[str, Any] = {"label": "wide", "classify": STAGE}

SECTIONS = {
    name: field.annotation
    for name, field in ExperimentConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Frozen)
}


def test_every_field_of_an_experiment_has_a_change() -> None:
    assert set(SECTIONS.values()) == set(CHANGES)
    assert set(ExperimentConfig.model_fields) == {*SECTIONS, *TOP_LEVEL_CHANGES}
    for model, changes in CHANGES.items():
        assert set(changes) == set(model.model_fields), model.__name__


def test_an_experiment_that_uses_no_later_key_is_written_as_before_there_was_one() -> None:
    values = experiment().model_dump(mode="json")
    assert list(values) == ["data", "augment", "model", "transfer", "train", "score", "label"]
    assert "labels" not in values["data"]
    written = experiment(data={"labels": ["a"]}).model_dump(mode="json")["data"]
    assert written["labels"] == ["a"]


def test_fingerprints_that_were_published_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_module, "RESULTS_REVISION", 3)
    assert experiment().fingerprint("d") == "68a3eb7fb65aaded3116b339fc7218c4140bd47b38b07ad21d01167c47b8e573"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "boosted_features"),
        ("labels", ["LR2", "LR3"]),
        ("options", {"crop_px": 32}),
        ("train_masks", "reference"),
    ],
)
def test_every_key_of_a_second_stage_changes_the_fingerprint(key: str, value: Any) -> None:
    plain, changed = experiment(classify=STAGE), experiment(classify={**STAGE, key: value})
    assert changed.fingerprint("d") != plain.fingerprint("d") != experiment().fingerprint("d")


@pytest.mark.parametrize("key", list(TOP_LEVEL_CHANGES))
def test_every_key_beside_the_sections_changes_the_fingerprint(key: str) -> None:
    changed = parse(ExperimentConfig, {**EXPERIMENT, key: TOP_LEVEL_CHANGES[key]}, "test")
    assert changed.fingerprint("d") != experiment().fingerprint("d")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [(section, key, value) for section, model in SECTIONS.items() for key, value in CHANGES[model].items()],
)
def test_every_field_changes_the_fingerprint(section: str, key: str, value: Any) -> None:
    changed, plain = experiment(**{section: {key: value}}), experiment()
    assert changed != plain
    assert changed.fingerprint("d") != plain.fingerprint("d")


def test_fingerprint_covers_dataset_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = experiment().fingerprint("d")
    assert plain == experiment().fingerprint("d")
    assert len(plain) == 64
    assert int(plain, 16) >= 0
    assert experiment().fingerprint("e") != plain
    monkeypatch.setattr(experiment_module, "RESULTS_REVISION", config.RESULTS_REVISION + 1)
    assert experiment().fingerprint("d") != plain


def test_fingerprint_is_the_hash_of_three_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_module, "RESULTS_REVISION", 7)
    subject = experiment()
    lines = f"{subject.canonical()}\nabc\nrevision 7"
    assert subject.fingerprint("abc") == hashlib.sha256(lines.encode()).hexdigest()


def test_a_pinned_split_counts_by_its_content_not_by_its_path() -> None:
    def pinned(path: str, sha256: str) -> str:
        return experiment(data={"split_file": path, "split_sha256": sha256}).fingerprint("d")

    assert pinned("here.json", "0" * 64) == pinned("there/split.json", "0" * 64)
    assert pinned("here.json", "0" * 64) != pinned("here.json", "1" * 64)
