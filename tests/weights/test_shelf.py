"""Adding weights to a hub: by several at once, over what is there, and with a kill in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import BusyError, ConfigError, StorageError, UsageError
from lungzoo.weights import hub, shelf
from lungzoo.weights.index import INDEX, HubIndex, read_index
from lungzoo.weights.manifest import WeightsManifest, write_manifest
from lungzoo.weights.shelf import shelve

MODEL = ModelConfig(name="cnn_scratch")


def filler(content: bytes = b"numbers") -> Callable[[str, Path], None]:
    import hashlib

    def fill(name: str, folder: Path) -> None:
        (folder / f"{name}.npz").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        manifest = WeightsManifest(
            name=name, model=MODEL, file=f"{name}.npz", sha256=digest, size_bytes=len(content)
        )  # fmt: skip
        write_manifest(manifest, folder / "manifest.toml")

    return fill


def put(folder: Path, name: str = "a-v1", content: bytes = b"numbers", force: bool = False) -> Path:
    return shelve(folder, lambda index: name, filler(content), force)


def listed(folder: Path) -> list[str]:
    index = read_index(folder)
    return [entry.name for entry in index.weights] if index else []


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {shelf.LOCK}


def test_several_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b-v1", "a-v1"):
        assert put(tmp_path / "deep" / "hub", name) == tmp_path / "deep" / "hub" / name
    folder = tmp_path / "deep" / "hub"
    assert listed(folder) == ["a-v1", "b-v1"]
    assert entries(folder) == {INDEX, "a-v1", "b-v1"}
    monkeypatch.setenv("LUNGZOO_HUB", str(folder))
    assert hub.fetch("b-v1").read_bytes() == b"numbers"


def test_a_name_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    with pytest.raises(UsageError, match=r"has weights named 'a-v1'\. Give another name with --name, or replace"):
        put(tmp_path, content=b"others")
    assert (tmp_path / "a-v1" / "a-v1.npz").read_bytes() == b"numbers"
    put(tmp_path, content=b"others", force=True)
    monkeypatch.setenv("LUNGZOO_HUB", str(tmp_path))
    assert hub.fetch("a-v1").read_bytes() == b"others"
    assert entries(tmp_path) == {INDEX, "a-v1"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a-v1").mkdir()
    (tmp_path / "a-v1" / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="has weights named 'a-v1'"):
        put(tmp_path)
    assert (tmp_path / "a-v1" / "thesis.txt").exists()


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_the_hub_as_it_was(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "b-v1")
    if there:
        put(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shelf, "write_atomic", full)
    with pytest.raises(StorageError, match="Cannot publish to: No space left on device"):
        put(tmp_path, content=b"others", force=there)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_weights_that_cannot_be_written(tmp_path: Path) -> None:
    def broken(name: str, folder: Path) -> None:
        (folder / "half").write_text("x")
        raise UsageError("no card")

    with pytest.raises(UsageError, match="no card"):
        shelve(tmp_path, lambda index: "a-v1", broken, force=False)
    assert entries(tmp_path) == set()


def test_what_a_killed_process_set_aside_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    (tmp_path / "a-v1").rename(tmp_path / ".a-v1.old")
    (tmp_path / ".a-v1.new").mkdir()
    with pytest.raises(UsageError, match="has weights named 'a-v1'"):
        put(tmp_path)
    monkeypatch.setenv("LUNGZOO_HUB", str(tmp_path))
    assert hub.fetch("a-v1").is_file()
    assert entries(tmp_path) == {INDEX, "a-v1"}


def test_a_damaged_index_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(ConfigError, match="is no index of a hub"):
        put(tmp_path)
    assert (tmp_path / INDEX).read_text() == "{"
    assert entries(tmp_path) == {INDEX}


def test_a_file_in_the_place_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("")
    with pytest.raises(StorageError, match="Cannot publish to"):
        put(tmp_path / "hub")


def test_waiting_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(shelf, "LOCK_WAIT_S", 0.1)
    with FileLock(tmp_path / shelf.LOCK), pytest.raises(BusyError, match="Another process has been publishing to"):
        put(tmp_path)


ADD = """
import sys
from pathlib import Path
from tests_filler import filler
from lungzoo.weights.shelf import shelve
def choose(index):
    return next(f"m-v{n}" for n in range(1, 99) if not index.find(f"m-v{n}"))
for _ in range(4):
    shelve(Path(sys.argv[1]), choose, filler(), False)
"""


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests_filler.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", ADD, str(tmp_path / "hub")]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    names = {f"m-v{number}" for number in range(1, 13)}
    assert set(listed(tmp_path / "hub")) == names
    assert entries(tmp_path / "hub") == {INDEX, *names}


def test_an_index_is_one_text(tmp_path: Path) -> None:
    put(tmp_path)
    text = (tmp_path / INDEX).read_text()
    assert HubIndex.model_validate(json.loads(text)).to_json() == text
