"""Models with trained weights, by name and by path; and files that are not opened."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo import content
from lungzoo.config import ModelConfig
from lungzoo.errors import ConfigError, UnknownNameError, UsageError, WeightsMismatch, WeightsUnavailable
from lungzoo.models.assemble import build_model
from lungzoo.models.load import find_start, load, load_into, load_resolved, published_starts
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import WeightsManifest, read_manifest, write_manifest
from lungzoo.weights.names import named_variables

TINY = ModelConfig(
    name="cnn_scratch", encoder_options={"width": 4}, encoder_depth=3, decoder_channels=(8, 8, 4), decoder_convs=1
)


@pytest.fixture(scope="module")
def trained() -> Any:
    model = build_model(TINY)
    for variable in model.weights:
        variable.assign(np.asarray(variable) + 0.25)
    return model


@pytest.fixture(scope="module")
def folder(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a run leaves it: the file and manifest.json."""
    folder = tmp_path_factory.mktemp("run") / "weights"
    digest = write_weights(trained, folder / "model.npz")
    size = (folder / "model.npz").stat().st_size
    manifest = WeightsManifest(name="tiny-v1", model=TINY, file="model.npz", sha256=digest, size_bytes=size)
    write_manifest(manifest, folder / "manifest.json")
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "weights"))


@pytest.fixture
def publish(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Publishes the tiny weights under a name, with changes to the manifest."""
    place = tmp_path / "package" / "_content" / "weights"
    place.mkdir(parents=True)
    monkeypatch.setattr(content, "__file__", str(tmp_path / "package" / "content.py"))
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LUNGZOO_HUB", raising=False)

    def publish(name: str, **changes: Any) -> None:
        shutil.copy(folder / "model.npz", place)
        manifest = read_manifest(folder / "manifest.json").model_copy(update={"name": name, **changes})
        write_manifest(manifest, place / f"{name}.toml")

    return publish


def assert_same(model: Any, other: Any) -> None:
    picture = np.random.default_rng(0).random((1, 33, 47, 1), "float32")
    np.testing.assert_array_equal(model(picture, training=False), other(picture, training=False))


@pytest.mark.parametrize("source", ["tiny-v1", "lungzoo:tiny-v1"])
def test_a_published_name(publish: Callable[..., None], trained: Any, source: str) -> None:
    publish("tiny-v1")
    assert_same(load(source), trained)


def test_a_published_name_wins_over_a_folder_of_that_name(
    publish: Callable[..., None], trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("tiny-v1")
    (tmp_path / "tiny-v1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert_same(load("tiny-v1"), trained)
    with pytest.raises(UsageError, match="has no manifest"):
        load(Path("tiny-v1"))


@pytest.mark.parametrize("kind", ["folder", "folder as text", "file", "file with .toml", "manifest"])
def test_a_path(copy: Path, trained: Any, kind: str) -> None:
    source: str | Path = {"folder": copy, "manifest": copy / "manifest.json"}.get(kind, copy / "model.npz")
    if kind == "file with .toml":
        write_manifest(read_manifest(copy / "manifest.json"), copy / "model.toml")
        (copy / "manifest.json").unlink()
    assert_same(load(str(copy) if kind == "folder as text" else source), trained)


def test_a_relative_folder_without_a_slash(copy: Path, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.parent)
    assert_same(load("weights"), trained)


def test_a_new_head(copy: Path, trained: Any) -> None:
    mine, theirs = named_variables(load(copy, new_head=True)), named_variables(trained)
    assert not np.array_equal(mine["head/kernel"], theirs["head/kernel"])
    np.testing.assert_array_equal(mine["encoder/P1_0_conv/kernel"], theirs["encoder/P1_0_conv/kernel"])


def test_weights_of_the_encoder_go_into_another_model(copy: Path, trained: Any) -> None:
    model = build_model(TINY.model_copy(update={"encoder_depth": 2, "decoder_channels": (4, 4), "classes": 3}))
    assert load_into(model, copy, part="encoder").name == "tiny-v1"
    mine, theirs = named_variables(model), named_variables(trained)
    np.testing.assert_array_equal(mine["encoder/P2_0_conv/kernel"], theirs["encoder/P2_0_conv/kernel"])


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("m.keras", "a Keras or TensorFlow file can carry code in its layers"),
        ("m.weights.h5", "a Keras or TensorFlow file can carry code"),
        ("m.PKL", "a pickle runs code when opened"),
        ("m.pt", "a pickle runs code when opened"),
    ],
)
def test_files_of_other_kinds_are_not_opened(name: str, reason: str, exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / name).write_bytes(b"cos\nmkdir\n(S'harm-was-done'\ntR.")
    with pytest.raises(UsageError) as caught:
        load(str(tmp_path / name))
    assert f"lungzoo does not open '{tmp_path / name}': {reason}" in str(caught.value)
    assert "Give a published name (lungzoo weights list)" in str(caught.value)


def test_a_file_without_a_manifest(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    with pytest.raises(UsageError, match=r"\(looked for model\.toml, model\.json, manifest\.json, manifest\.toml\)"):
        load(copy / "model.npz")
    with pytest.raises(UsageError, match=r"has no manifest \(looked for manifest\.json, manifest\.toml\)"):
        load(copy)


def test_a_manifest_without_its_file(copy: Path) -> None:
    (copy / "model.npz").unlink()
    with pytest.raises(UsageError, match=r"No weights file at '.*model\.npz', which manifest\.json names"):
        load(copy)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No weights at"):
        load(tmp_path / "none")
    with pytest.raises(UnknownNameError, match="Unknown published weights 'none'"):
        load("none")


def test_a_text_file_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(UsageError, match=r"notes\.md' has no manifest\. Give"):
        load(tmp_path / "notes.md")


def test_a_file_that_was_changed(copy: Path) -> None:
    (copy / "model.npz").write_bytes((copy / "model.npz").read_bytes() + b"x")
    with pytest.raises(WeightsUnavailable, match="is not the file that its manifest describes"):
        load(copy)


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "manifest.json").read_text()
    assert old in text
    (folder / "manifest.json").write_text(text.replace(old, new))


def test_a_manifest_of_another_model(copy: Path) -> None:
    edit(copy, '"width": 4', '"width": 8')
    with pytest.raises(WeightsMismatch, match="The weights do not fit the model 'cnn_scratch'"):
        load(copy)


def test_a_manifest_that_points_elsewhere(copy: Path) -> None:
    edit(copy, '"file": "model.npz"', '"file": "../model.npz"')
    with pytest.raises(ConfigError, match="file: String should match pattern"):
        load(copy)


def test_a_manifest_of_no_known_model(copy: Path) -> None:
    edit(copy, '"cnn_scratch"', '"cnn_scrach"')
    with pytest.raises(UnknownNameError, match="Did you mean 'cnn_scratch'"):
        load(copy)


def test_a_keras_file_dressed_up(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole .keras archive under the name and hash of a weights file is refused by its content."""
    import keras

    monkeypatch.chdir(copy)
    image = keras.Input((2,))
    keras.Model(image, keras.layers.Lambda(lambda x: x)(image)).save("evil.keras")
    shutil.move("evil.keras", "model.npz")
    content_bytes = Path("model.npz").read_bytes()
    changes = {"sha256": hashlib.sha256(content_bytes).hexdigest(), "size_bytes": len(content_bytes)}
    write_manifest(read_manifest(Path("manifest.json")).model_copy(update=changes), Path("manifest.json"))
    with pytest.raises(WeightsUnavailable, match="which is no array"):
        load(copy)


def test_starts(publish: Callable[..., None]) -> None:
    deep = TINY.model_copy(update={"encoder_depth": 5, "decoder_channels": None})
    publish("none-v1")
    publish("deep-v1", start="lidc", model=deep, created="2026-01-01")
    publish("tiny-v1", start="lidc", created="2026-01-01")
    publish("wide-v1", start="lidc", model=TINY.model_copy(update={"encoder_options": (("width", 8),)}))
    publish("other-v1", start="luna")
    assert published_starts() == {"cnn": ("lidc", "luna")}

    def name(encoder: str, options: dict[str, Any], depth: int, start: str) -> str | None:
        found = find_start(encoder, options, depth, start)
        return found.name if found else None

    assert name("cnn", {"width": 4}, 3, "lidc") == "tiny-v1"
    assert name("cnn", {"width": 4}, 2, "lidc") == "tiny-v1"
    assert name("cnn", {"width": 4}, 4, "lidc") == "deep-v1"
    assert name("cnn", {"width": 8}, 3, "lidc") == "wide-v1"
    assert name("cnn", {}, 3, "lidc") is None
    assert name("cnn", {"width": 4}, 3, "luna") == "other-v1"
    assert name("resnet50", {}, 3, "lidc") is None
    publish("tiny-v2", start="lidc", created="2026-02-01")
    assert name("cnn", {"width": 4}, 3, "lidc") == "tiny-v2"


def test_options_left_out_have_their_defaults(publish: Callable[..., None]) -> None:
    publish("plain-v1", start="lidc", model=TINY.model_copy(update={"encoder_options": ()}))
    assert find_start("cnn", {"width": 16}, 3, "lidc") is not None
    assert find_start("cnn", {}, 3, "lidc") is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 100_000},
        {"in_channels": 100_000},
        {"decoder_channels": (8, 100_000, 4)},
        {"encoder_options": (("width", 100_000),)},
        {"labels": tuple(map(str, range(100_000)))},
    ],
)
def test_a_model_that_is_far_too_large_for_its_file_is_not_built(
    copy: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(copy / "manifest.json")
    claimed = manifest.model_copy(update={"model": manifest.model.model_copy(update=changes)})
    monkeypatch.setattr("lungzoo.models.assemble.build_model", None)
    with pytest.raises(WeightsMismatch, match=r"'tiny-v1' claims a width of 100000, for which its file of \d+ bytes"):
        load_resolved(claimed, copy / "model.npz")


@pytest.mark.parametrize("changes", [{"classes": 257}, {"in_channels": 257}, {"decoder_channels": (4097,)}])
def test_sizes_of_a_manifest_have_bounds(copy: Path, changes: dict[str, Any]) -> None:
    values = json.loads((copy / "manifest.json").read_text())
    values["model"] |= changes
    (copy / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=next(iter(changes))):
        load(copy)


def test_a_name_that_is_too_long_for_a_path() -> None:
    with pytest.raises(UnknownNameError, match="Unknown published weights 'aaa"):
        load("a" * 300)
