"""A fitted classifier in a weights file, beside the network whose lesions it names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import Examples, lesion_of
from lungzoo.classifiers.second_stage import SecondStage, load_second_stage
from lungzoo.config import ModelConfig
from lungzoo.errors import ConfigError, LungzooError, UnknownNameError, WeightsMismatch, WeightsUnavailable
from lungzoo.models.assemble import build_model
from lungzoo.models.load import load, load_into
from lungzoo.schema import parse
from lungzoo.weights.file import read_weights, write_weights
from lungzoo.weights.manifest import WeightsManifest, read_manifest, write_manifest

OPTIONS = {"boosted_features": {"min_samples_leaf": 3, "max_iter": 20}, "crop_cnn": {"crop_px": 8, "epochs": 1}}
MODEL = ModelConfig(name="cnn_scratch", encoder_options={"width": 2}, encoder_depth=2, decoder_channels=(2, 2))


MANY = {"labels": [str(n) for n in range(65)], "shares": [1 / 65] * 65}


def slices(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Every second square is large."""
    rng = np.random.default_rng(0)
    images, masks = rng.integers(0, 255, (count, 24, 24)).astype(np.uint8), np.zeros((count, 24, 24), bool)
    for number, mask in enumerate(masks):
        side = 3 + 8 * (number % 2)
        mask[2 : 2 + side, 3 : 3 + side] = True
    return images, masks


@pytest.fixture(scope="module", params=CLASSIFIERS.names())
def stage(request: pytest.FixtureRequest) -> SecondStage:
    spec = CLASSIFIERS.get(request.param)
    options = spec.checked_options(OPTIONS[request.param])
    unknown = (float("nan"),) * 2  # so that some features are unknown
    lesions = [lesion_of(image, mask, unknown) for image, mask in zip(*slices(24), strict=True)]
    train = Examples(np.stack([spec.describe(each, options) for each in lesions if each]), np.arange(24) % 2)
    fitted = spec.fit(train, train, 2, options, 3)
    return SecondStage(spec, ("small", "large"), options, fitted, np.array([0.25, 0.75]))


def save(folder: Path, stage: SecondStage, **changes: Any) -> WeightsManifest:
    """Write a network with a second stage; `changes` are of the entry in the manifest."""
    digest = write_weights(build_model(MODEL, None), folder / "a.npz", second_stage=stage.arrays())
    entry = stage.entry().model_copy(update=changes)
    size = (folder / "a.npz").stat().st_size
    manifest = WeightsManifest(
        name="two", model=MODEL, file="a.npz", sha256=digest, size_bytes=size, second_stage=entry
    )
    write_manifest(manifest, folder / "manifest.toml")
    return read_manifest(folder / "manifest.toml")


def test_what_was_written_answers_alike(stage: SecondStage, tmp_path: Path) -> None:
    manifest = save(tmp_path, stage)
    again = load_second_stage(manifest, tmp_path / "a.npz")
    assert again is not None
    assert (again.labels, again.options, again.spec) == (stage.labels, stage.options, stage.spec)
    images, masks = slices(6)
    masks[3] = False
    shown = (images, masks, [(0.7, 0.7)] * 6)
    assert again.probabilities(*shown) == pytest.approx(stage.probabilities(*shown), abs=1e-6)
    assert again.probabilities(*shown)[3] == pytest.approx([0.25, 0.75])  # nothing is marked
    model = load(tmp_path)  # the network alone
    other = build_model(MODEL, None)
    load_into(other, tmp_path)
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), other.get_weights(), strict=True))


def test_weights_without_one_have_none(tmp_path: Path, stage: SecondStage) -> None:
    manifest = save(tmp_path, stage).model_copy(update={"second_stage": None})
    assert load_second_stage(manifest, tmp_path / "not there") is None


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"name": "crop_cn"}, UnknownNameError, "Unknown classifier 'crop_cn'. Did you mean 'crop_cnn'?"),
        ({"options": {"crop": 3}}, ConfigError, "has no option 'crop'"),
        (
            {"labels": ("a", "b", "c"), "shares": (0.2, 0.2, 0.6)},
            WeightsMismatch,
            "a.npz does not hold the second stage",
        ),
    ],
)
def test_entries_that_do_not_fit_are_refused(
    stage: SecondStage, tmp_path: Path, changes: dict[str, Any], kind: type[LungzooError], text: str
) -> None:
    manifest = save(tmp_path, stage, **changes)
    with pytest.raises(kind) as error:
        load_second_stage(manifest, tmp_path / "a.npz")
    assert text in str(error.value)


def test_entries_that_contradict_themselves_are_refused(stage: SecondStage, tmp_path: Path) -> None:
    values = save(tmp_path, stage).model_dump(mode="json")
    for changes in ({"shares": [1.0]}, {"labels": ["a", "a"]}, {"labels": ["a"]}, {"more": 1}, MANY):
        with pytest.raises(ConfigError, match="second_stage"):
            parse(WeightsManifest, values | {"second_stage": values["second_stage"] | changes}, "Manifest")
    with pytest.raises(ConfigError, match="a label head and a second stage cannot both name classes"):
        parse(WeightsManifest, values | {"model": values["model"] | {"labels": ["a", "b"]}}, "Manifest")


def test_another_file_is_refused(stage: SecondStage, tmp_path: Path) -> None:
    manifest = save(tmp_path, stage)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[-200] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="sha256"):
        load_second_stage(manifest, tmp_path / "a.npz")


DAMAGES = {
    "a missing array": lambda arrays: arrays.pop(sorted(arrays)[-1]),
    "an array of another shape": lambda arrays: arrays.update(
        {name: array[..., None] for name, array in arrays.items()}
    ),
    "no arrays": lambda arrays: arrays.clear(),
}
OF_TREES = {
    "more rounds than the options say": {"rounds": np.array(10**12)},
    "no round": {"rounds": np.array(0)},
    "a seed out of range": {"seed": np.array(-1)},
    "a class that there is not": {"labels": np.full(24, 7)},
    "one class alone": {"labels": np.zeros(24, int)},
    "witnesses of others": {"witnesses": np.zeros((3, 2), np.float32)},
    "classes that are no integers": {"labels": np.linspace(0, 1, 24)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays_are_refused(
    stage: SecondStage, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = stage.arrays()
    DAMAGES[damage](arrays)
    monkeypatch.setattr(type(stage.fitted), "arrays", lambda self: arrays)
    with pytest.raises(WeightsMismatch, match="does not hold the second stage") as error:
        load_second_stage(save(tmp_path, stage), tmp_path / "a.npz")
    assert str(error.value).endswith("Fetch or publish it again.")


@pytest.mark.parametrize("damage", OF_TREES)
def test_trees_that_would_not_end_are_not_begun(tmp_path: Path, damage: str) -> None:
    spec = CLASSIFIERS.get("boosted_features")
    options = spec.checked_options(OPTIONS["boosted_features"])
    inputs = np.random.default_rng(0).normal(size=(24, 21)).astype(np.float32)
    fitted = spec.fit(Examples(inputs, np.arange(24) % 2), Examples(inputs[:0], np.zeros(0, int)), 2, options, 0)
    with pytest.raises(ConfigError, match=r"cannot be fitted on what the file holds|grows at most 4000 trees"):
        spec.restore(fitted.arrays() | OF_TREES[damage], 2, options)


def test_trees_that_grow_differently_elsewhere_are_noticed() -> None:
    spec = CLASSIFIERS.get("boosted_features")
    options = spec.checked_options(OPTIONS["boosted_features"])
    inputs = np.random.default_rng(0).normal(size=(24, 21)).astype(np.float32)
    fitted = spec.fit(Examples(inputs, np.arange(24) % 2), Examples(inputs[:0], np.zeros(0, int)), 2, options, 0)
    arrays = fitted.arrays()
    arrays["witnesses"] = arrays["witnesses"] + np.array([0.01, -0.01], np.float32)
    with pytest.raises(
        ConfigError, match=r"answer differently by up to 0\.010.*another version of scikit-learn than \d"
    ):
        spec.restore(arrays, 2, options)


def test_equal_second_stages_give_equal_files(stage: SecondStage, tmp_path: Path) -> None:
    model, digests = build_model(MODEL, None), set()
    for name in ("a.npz", "b.npz"):
        digests.add(write_weights(model, tmp_path / name, "float16", stage.arrays()))
    assert digests == {hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()}
    kept = read_weights(tmp_path / "a.npz")
    for name, array in stage.arrays().items():
        assert np.array_equal(kept[f"second_stage/{name}"], array)  # halved precision is the network's alone
