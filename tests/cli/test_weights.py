"""`lungzoo weights …` as a person meets it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lungzoo import content
from lungzoo.cli import app
from lungzoo.config import ModelConfig
from lungzoo.errors import UnknownNameError, WeightsUnavailable
from lungzoo.weights.manifest import Score, WeightsManifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended content folder: "here-v1" lies in it, "away-v1" would have to be fetched."""
    folder = tmp_path / "package" / "_content" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(content, "__file__", str(tmp_path / "package" / "content.py"))
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LUNGZOO_HUB", raising=False)
    monkeypatch.setenv("LUNGZOO_OFFLINE", "1")
    np.savez(folder / "here-v1.npz", a=np.zeros(3))
    content_bytes = (folder / "here-v1.npz").read_bytes()
    here = WeightsManifest(
        name="here-v1",
        title="A small model",
        model=ModelConfig(name="cnn_scratch"),
        file="here-v1.npz",
        sha256=hashlib.sha256(content_bytes).hexdigest(),
        size_bytes=len(content_bytes),
        start="lidc",
        metrics={"dice": Score(mean=0.5, low=0.4, high=0.6, cases=9, patients=3)},
    )
    write_manifest(here, folder / "here-v1.toml")
    away = here.model_copy(
        update={"name": "away-v1", "file": "away-v1.npz", "url": ("http://127.0.0.1:9/a",), "metrics": {}}
    )
    write_manifest(away, folder / "away-v1.toml")
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["weights", *arguments], env={"COLUMNS": "160"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list(folder: Path) -> None:
    text = run("list")
    assert "0.500 [0.400, 0.600]" in text
    assert "not fetched" in text
    assert "A small model" in text


def test_list_as_json_by_pattern(folder: Path) -> None:
    (row,) = json.loads(run("list", "here*", "--json"))
    assert (row["name"], row["place"], row["start"]) == ("here-v1", "shipped", "lidc")
    assert row["dice"] == {"mean": 0.5, "low": 0.4, "high": 0.6, "cases": 9, "patients": 3}
    assert row["model"]["name"] == "cnn_scratch"
    assert json.loads(run("list", "none*", "--json")) == []


def test_list_of_nothing(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    assert run("list") == "Nothing matches.\n"


def test_fetch_prints_the_path(folder: Path) -> None:
    assert run("fetch", "here-v1") == f"here-v1: {folder / 'here-v1.npz'}\n"


@pytest.mark.parametrize("option", [[], ["--offline"]])
def test_fetch_offline(folder: Path, option: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if option:
        monkeypatch.delenv("LUNGZOO_OFFLINE")
    with pytest.raises(WeightsUnavailable, match=r"Offline.*http://127\.0\.0\.1:9/a"):
        run("fetch", "away-v1", *option)


def test_a_misspelt_name_comes_before_any_fetching(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'here-v1'"):
        run("fetch", "away-v1", "her-v1")


def test_verify(folder: Path) -> None:
    assert run("verify") == f"away-v1: not fetched\nhere-v1: shipped, intact: {folder / 'here-v1.npz'}\n"
    assert run("verify", "away-v1") == "away-v1: not fetched\n"


def test_verify_finds_damage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "here-v1.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsUnavailable, match=r"1 damaged file\(s\)") as caught:
        run("verify")
    assert caught.value.exit_code == 1


def test_where(folder: Path, tmp_path: Path) -> None:
    assert run("where") == f"{tmp_path / 'cache' / 'weights'}\n"
    assert run("where", "here-v1") == f"{folder / 'here-v1.npz'}\n"
    with pytest.raises(WeightsUnavailable, match="Run: lungzoo weights fetch away-v1"):
        run("where", "away-v1")


def test_nothing_heavy_is_loaded() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from lungzoo.cli import app; app(['weights', 'verify'], standalone_mode=False); "
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
