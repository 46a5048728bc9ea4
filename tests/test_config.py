"""Configs are strict, frozen, hashable; their fingerprint changes when, and only when, the content does."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lungzoo import config
from lungzoo.config import (
    ArmsConfig,
    DataConfig,
    ExperimentConfig,
    ModelConfig,
    PhantomConfig,
    SuiteConfig,
    TrainConfig,
    TransferConfig,
)
from lungzoo.errors import ConfigError
from lungzoo.schema import Frozen, parse, read_toml

EXPERIMENT: dict[str, Any] = {"model": {"name": "unet_resnet50"}}
SUITE: dict[str, Any] = {
    "name": "mine-v1",
    "title": "Mine",
    "arms": [{"models": ["unet_cnn"]}, {"models": ["unet_resnet50"], "transfers": ["imagenet-finetune"]}],
}
ALL_MODELS = [value for value in vars(config).values() if isinstance(value, type) and issubclass(value, Frozen)]


def experiment(**changes: dict[str, Any]) -> ExperimentConfig:
    """An experiment with some fields of some sections changed."""
    values = {
        **EXPERIMENT,
        **{section: {**EXPERIMENT.get(section, {}), **v} for section, v in changes.items()},
    }
    return parse(ExperimentConfig, values, "test")


def message(model: type[Frozen], values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(model, values, "suite.toml")
    return str(caught.value)


# Unknown keys and wrong values


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {**SUITE, "trian": {}},
            "Unknown key 'trian'. Did you mean 'train'? Allowed: name, title, description, phantom, seeds, "
            "primary_metric, data, augment, model, train, score, arms.",
        ),
        (
            {**SUITE, "data": {"windw_hu": [0, 1]}},
            "Unknown key 'data.windw_hu'. Did you mean 'window_hu'? Allowed: "
            + ", ".join(DataConfig.model_fields)
            + ".",
        ),
        (
            {**SUITE, "phantom": {"patiens": 3}},
            "Unknown key 'phantom.patiens'. Did you mean 'patients'? "
            "Allowed: patients, slices_per_patient, size_px, seed.",
        ),
        (
            {**SUITE, "arms": [{"models": ["a"], "modles": 1}]},
            "Unknown key 'arms.0.modles'. Did you mean 'models'? Allowed: models, transfers, label, model, train, "
            "classify.",
        ),
        (
            {**SUITE, "arms": [{"models": ["a"], "transfers": ["scratch", {"recpie": "frozen"}]}]},
            "Unknown key 'arms.0.transfers.1.recpie'. Did you mean 'recipe'? Allowed: recipe, weights, options, "
            "new_head, sha256.",
        ),
        (
            {**SUITE, "zebra": 1},
            "Unknown key 'zebra'. Allowed: name, title, description, phantom, seeds, primary_metric, data, "
            "augment, model, train, score, arms.",
        ),
    ],
)
def test_unknown_key_names_the_nearest_at_every_depth(values: dict[str, Any], text: str) -> None:
    assert message(SuiteConfig, values) == f"suite.toml: {text}"


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_every_model_refuses_unknown_keys(model: type[Frozen]) -> None:
    assert "Unknown key 'zebra'." in message(model, {"zebra": 1})


def test_every_problem_is_reported_at_once() -> None:
    values = {"model": {"nmae": "x"}, "train": {"epochs": 0, "los": "dice"}}
    assert message(ExperimentConfig, values).splitlines() == [
        "suite.toml: Missing key 'model.name'. Add it.",
        "Unknown key 'model.nmae'. Did you mean 'name'? Allowed: name, encoder_options, encoder_depth, "
        + ", ".join(list(ModelConfig.model_fields)[3:])
        + ".",
        "train.epochs: Input should be greater than or equal to 1. Received: 0",
        "Unknown key 'train.los'. Did you mean 'loss'? Allowed: " + ", ".join(TrainConfig.model_fields) + ".",
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "Missing key 'model'. Add it."),
        (
            {**EXPERIMENT, "data": {"window_hu": [150, -1350]}},
            "data: window_hu must rise from low to high. Received: [150.0, -1350.0].",
        ),
        (
            {**EXPERIMENT, "data": {"window_hu": [40, 40]}},
            "data: window_hu must rise from low to high. Received: [40.0, 40.0].",
        ),
        ({**EXPERIMENT, "data": {"window_hu": [40]}}, "data.window_hu: too few values. Received: [40]"),
        (
            {**EXPERIMENT, "data": {"val_fraction": 0.5, "test_fraction": 0.5}},
            "data: val_fraction + test_fraction must be below 0.9, to leave cases for training. Received: 0.5 + 0.5.",
        ),
        (
            {"model": {"name": "x", "in_slices": 4}},
            "model: in_slices must be odd: a slice and as many on either side. Received: 4.",
        ),
        (
            {"model": {"name": "x", "labels": ["benign"]}},
            "model: labels needs two or more different names, or none. Received: ['benign'].",
        ),
        (
            {"model": {"name": "x", "encoder_options": {"alpha": [0.35]}}},
            "model.encoder_options: option 'alpha' must be a boolean, a number or a text. Received: [0.35].",
        ),
        ({"model": {"name": ""}}, "model.name: String should have at least 1 character. Received: ''"),
        (
            {**EXPERIMENT, "transfer": "-finetune"},
            "transfer.weights: String should have at least 1 character. Received: ''",
        ),
        (
            {**EXPERIMENT, "train": {"learning_rate": float("nan")}},
            "train.learning_rate: Input should be a finite number. Received: nan",
        ),
        (
            {**EXPERIMENT, "train": {"precision": "float16"}},
            "train.precision: Input should be 'float32', 'mixed_float16' or 'mixed_bfloat16'. Received: 'float16'",
        ),
        (
            {**EXPERIMENT, "train": 3},
            "train: Input should be a valid dictionary or instance of TrainConfig. Received: 3",
        ),
    ],
)
def test_wrong_value_is_shown(values: dict[str, Any], text: str) -> None:
    assert message(ExperimentConfig, values) == f"suite.toml: {text}"


@pytest.mark.parametrize("name", ["My Suite", "-v1", "", "../x", "A", "a/b"])
def test_suite_name_fits_a_file_and_an_experiment_name(name: str) -> None:
    assert "name: String should match pattern" in message(SuiteConfig, {**SUITE, "name": name})


@pytest.mark.parametrize(("key", "value"), [("arms", []), ("seeds", []), ("seeds", [-1])])
def test_suite_refuses(key: str, value: Any) -> None:
    assert message(SuiteConfig, {**SUITE, key: value}).startswith(f"suite.toml: {key}")


# Short form of transfers


@pytest.mark.parametrize(
    ("short", "recipe", "weights"),
    [
        ("scratch", "scratch", None),
        ("imagenet-finetune", "finetune", "imagenet"),
        ("imagenet-frozen", "frozen", "imagenet"),
        ("other-set-frozen", "frozen", "other-set"),
    ],
)
def test_short_form_of_a_transfer(short: str, recipe: str, weights: str | None) -> None:
    transfer = parse(ExperimentConfig, {**EXPERIMENT, "transfer": short}, "test").transfer
    assert transfer == TransferConfig(recipe=recipe, weights=weights)
    assert transfer.slug == short
    assert transfer == TransferConfig.model_validate(transfer.slug)


def test_short_and_long_forms_mix() -> None:
    arms = parse(ArmsConfig, {"models": ["a"], "transfers": ["imagenet-frozen", {"recipe": "scratch"}]}, "test")
    assert [transfer.slug for transfer in arms.transfers] == ["imagenet-frozen", "scratch"]


def test_arm_name() -> None:
    values: dict[str, Any] = {**EXPERIMENT, "transfer": "imagenet-frozen", "train": {"train_seed": 4}}
    assert parse(ExperimentConfig, values, "test").arm == "unet_resnet50 / imagenet-frozen"


def test_arm_name_tells_options_and_label() -> None:
    values = {"model": {"name": "unet_mobilenetv2", "encoder_options": {"alpha": 0.35}}, "label": "wide"}
    assert parse(ExperimentConfig, values, "test").arm == "unet_mobilenetv2 alpha=0.35 / scratch / wide"


# Frozen, hashable, JSON


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        experiment().train.epochs = 3  # type: ignore[misc]


def test_equal_content_is_equal_and_hashes_alike() -> None:
    one = experiment(model={"encoder_options": {"alpha": 0.35, "dropout": 0.1}}, train={"learning_rate": 1})
    two = experiment(model={"encoder_options": {"dropout": 0.1, "alpha": 0.35}}, train={"learning_rate": 1.0})
    pairs = experiment(model={"encoder_options": [["dropout", 0.1], ["alpha", 0.35]]}, train={"learning_rate": 1})
    assert one == two == pairs
    assert len({one, two, pairs}) == 1
    assert one.canonical() == two.canonical() == pairs.canonical()


def test_defaults_said_aloud_change_nothing() -> None:
    assert experiment(train=TrainConfig().model_dump()).fingerprint("d") == experiment().fingerprint("d")


def test_suites_are_hashable() -> None:
    assert hash(parse(SuiteConfig, SUITE, "t")) == hash(parse(SuiteConfig, SUITE, "t"))


@pytest.mark.parametrize(
    "subject",
    [
        experiment(model={"encoder_options": {"alpha": 0.35, "pool": "max", "top": False, "depth": 3}}),
        parse(ExperimentConfig, {**EXPERIMENT, "transfer": "imagenet-frozen"}, "test"),
        parse(SuiteConfig, {**SUITE, "phantom": {}, "train": {"epochs": 2}, "model": {"classes": 2}}, "test"),
        PhantomConfig(),
    ],
    ids=lambda subject: type(subject).__name__,
)
def test_round_trip_through_json(subject: Frozen) -> None:
    again = parse(type(subject), json.loads(subject.canonical()), "test")
    assert again == subject
    assert again.canonical() == subject.canonical()
    assert parse(type(subject), subject.model_dump(), "test") == subject


def test_option_types_are_kept() -> None:
    options = {"alpha": 0.35, "depth": 3, "pool": "max", "top": False}
    kept = dict(experiment(model={"encoder_options": options}).model.encoder_options)
    assert kept == options
    assert [type(kept[name]) for name in options] == [float, int, str, bool]


# TOML


def test_read_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('title = "Lésions"\n', encoding="utf-8")
    assert read_toml(path) == {"title": "Lésions"}


def test_malformed_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('title = "a"\nname = \n')
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path} is not valid TOML: ")
    assert "line 2" in str(caught.value)


def test_binary_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"x\.toml is not valid TOML: "):
        read_toml(path)


def test_missing_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value) == (f"Cannot read {path}: No such file or directory. Check the path and its permissions.")


# The source itself


def test_every_config_class_and_key_says_what_it_is() -> None:
    undescribed = []
    sources = sorted(Path(config.__file__).parent.glob("*.py"))
    for node in (node for path in sources for node in ast.parse(path.read_text()).body):
        if not isinstance(node, ast.ClassDef):
            continue
        if not ast.get_docstring(node):
            undescribed.append(node.name)
        undescribed += [
            f"{node.name}.{ast.unparse(field.target)}"
            for field, below in zip(node.body, [*node.body[1:], None], strict=True)
            if isinstance(field, ast.AnnAssign) and not isinstance(below, ast.Expr)
        ]
    assert undescribed == []
