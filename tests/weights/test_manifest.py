"""Manifests: strict, in TOML and JSON alike."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lungzoo.errors import ConfigError, StorageError
from lungzoo.weights.manifest import Inherited, WeightsManifest, read_manifest, write_manifest
from lungzoo.weights.toml import toml_text

FULL: dict[str, Any] = {
    "name": "tiny-v1",
    "title": 'A "tiny" model\nof two lines, 3 µm',
    "model": {"name": "cnn_scratch", "encoder_options": {"width": 4}, "encoder_depth": 3, "labels": ["a", "b"]},
    "file": "tiny-v1.npz",
    "url": "https://example.org/tiny-v1.npz",
    "sha256": "0" * 64,
    "size_bytes": 1234,
    "licence": "CC-BY-3.0",
    "start": "lidc",
    "trained_on": {
        "dataset": "lidc",
        "fingerprint": "f" * 64,
        "split_seed": 0,
        "patients": {"train": [f"p{n:03}" for n in range(20)], "val": ["q"], "test": ["r s"]},
    },
    "protocol": {"epochs": 20, "augment": {"flip": True}, "loss": ["dice", "ce"]},
    "metrics": {"dice": {"mean": 0.5, "low": 0.4, "high": 0.6, "cases": 12, "patients": 3}},
    "created": "2026-02-03",
}


def full(**changes: Any) -> WeightsManifest:
    return WeightsManifest.model_validate({**FULL, **changes})


@pytest.mark.parametrize("name", ["m.toml", "m.json"])
def test_a_manifest_reads_as_it_was_written(name: str, tmp_path: Path) -> None:
    write_manifest(full(), tmp_path / name)
    assert read_manifest(tmp_path / name) == full()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_one_address_or_several() -> None:
    assert full().url == ("https://example.org/tiny-v1.npz",)
    assert full(url=["http://a/x", "https://b/x"]).url == ("http://a/x", "https://b/x")


def test_a_bare_date_of_toml_is_a_date(tmp_path: Path) -> None:
    text = toml_text({**FULL, "created": "@"}).replace('"@"', "2026-02-03")
    (tmp_path / "m.toml").write_text(text)
    assert read_manifest(tmp_path / "m.toml").created == "2026-02-03"


def test_bounds_that_do_not_exist_are_absent() -> None:
    score = {"mean": 0.5, "low": float("nan"), "high": float("nan"), "cases": 3, "patients": 1}
    assert full(metrics={"dice": score}).metrics["dice"].low is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licens": "MIT"}, "Unknown key 'licens'. Did you mean 'licence'?"),
        ({"model": {"name": "cnn_scratch", "encoder_dept": 3}}, "Unknown key 'model.encoder_dept'. Did you mean"),
        ({"file": "../../etc/passwd.npz"}, "file: String should match pattern"),
        ({"file": "/elsewhere/x.npz"}, "file: String should match pattern"),
        ({"file": "model.keras"}, "file: String should match pattern"),
        ({"url": "file:///etc/passwd"}, "url.0: String should match pattern"),
        ({"sha256": "abc"}, "sha256: String should match pattern"),
        ({"name": "a/b"}, "name: String should match pattern"),
        ({"created": "yesterday"}, "created: String should match pattern"),
        (
            {"trained_on": {"dataset": "d", "patients": {"train": ["a", "b"], "test": ["b"]}}},
            "each patient belongs to one part, once. Received more than once: b",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({**FULL, **changes}))
    with pytest.raises(ConfigError) as caught:
        read_manifest(tmp_path / "m.json")
    assert message in str(caught.value)
    assert str(tmp_path / "m.json") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "{", "is not valid JSON"),
        ("m.json", "[" * 100_000, "is not valid JSON"),
        ("m.json", "[]", "must hold a JSON object. Received: list"),
        ("m.toml", "a = ", "is not valid TOML"),
        ("m.toml", "", "Missing key 'name'"),
    ],
)
def test_malformed_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_manifest(tmp_path / name)


@pytest.mark.parametrize("name", ["m.json", "m.toml"])
def test_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Cannot read"):
        read_manifest(tmp_path / name)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot write the manifest to"):
        write_manifest(full(), tmp_path / "none" / "m.toml")


def test_faults_of_a_copy(manifest: WeightsManifest, tiny_file: Path, tmp_path: Path) -> None:
    assert manifest.fault(tiny_file) is None
    (tmp_path / "short").write_bytes(tiny_file.read_bytes()[:100])
    assert manifest.fault(tmp_path / "short") == f"100 bytes instead of {manifest.size_bytes}"
    (tmp_path / "other").write_bytes(bytes(manifest.size_bytes))
    assert str(manifest.fault(tmp_path / "other")).startswith("sha256 ")
    assert manifest.fault(tmp_path / "none") == "it cannot be read: No such file or directory"


def test_toml_of_every_kind_of_value() -> None:
    values = {
        "text": 'quote " backslash \\ tab \t delete \x7f π 😀',
        "whole": -3,
        "number": 1e-05,
        "yes": True,
        "list": [1, [2, 3], {"a": "b"}],
        "long": [str(n) for n in range(30)],
        "empty": [],
        "table": {"odd key.": {"x": 1}, "none": {}},
    }
    assert tomllib.loads(toml_text({**values, "nothing": None})) == values
    with pytest.raises(TypeError, match="TOML has no place for set"):
        toml_text({"a": {1}})


def test_what_was_learnt_from_is_passed_on_over_generations() -> None:
    def trained(name: str, source: str, train: str, val: str, before: Inherited | None = None) -> WeightsManifest:
        about = {"dataset": name, "patients": {"train": [*train], "val": [*val], "test": ["T"]}}
        inherited = {"inherited": before.model_dump()} if before else {}
        return full(name=name, source=source, trained_on={**about, **inherited})

    first = trained("a", "imagenet (somewhere)", "AB", "C")
    assert first.passed_on() == Inherited(train=("A", "B"), val=("C",), complete=True)
    second = trained("b", "run:a", "CD", "E", first.passed_on())
    assert second.passed_on() == Inherited(train=("A", "B", "C", "D"), val=("E",), complete=True)
    assert second.seen == ("A", "B", "C", "D", "E")
    orphan = trained("c", "/some/file.npz", "A", "B", full(trained_on=None).passed_on())
    assert not orphan.ancestry_known
    assert orphan.passed_on() == Inherited(train=("A",), val=("B",), complete=False)
    grandchild = trained("d", "run:c", "X", "Y", orphan.passed_on())
    assert not grandchild.ancestry_known
    assert trained("e", "random", "X", "Y").ancestry_known


@pytest.mark.parametrize("name", ["m.toml", "m.json"])
def test_what_was_inherited_is_written_where_there_is_some(name: str, tmp_path: Path) -> None:
    inherited = {"train": ["A"], "val": [], "complete": True}
    manifest = full(trained_on={**FULL["trained_on"], "inherited": inherited})
    write_manifest(manifest, tmp_path / name)
    assert read_manifest(tmp_path / name) == manifest
    write_manifest(full(), tmp_path / name)
    assert "inherited" not in (tmp_path / name).read_text()
