"""Published weights: shipped, in a hub, cached, fetched, and every way in which fetching goes wrong."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lungzoo import content
from lungzoo.errors import BusyError, ConfigError, StorageError, UnknownNameError, WeightsUnavailable
from lungzoo.weights import download, hub, receiving
from lungzoo.weights.manifest import WeightsManifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended content folder of published weights, empty."""
    package = tmp_path / "package"
    (package / "_content" / "weights").mkdir(parents=True)
    monkeypatch.setattr(content, "__file__", str(package / "content.py"))
    return package / "_content" / "weights"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "PAUSES_S", (0.01, 0.02))
    monkeypatch.setattr(receiving, "TIMEOUT_S", 0.4)


@pytest.fixture
def publish(folder: Path, manifest: WeightsManifest) -> Any:
    def publish(*urls: str, into: Path = folder, **changes: Any) -> WeightsManifest:
        into.mkdir(exist_ok=True)
        published = manifest.model_copy(update={"url": urls, **changes})
        write_manifest(published, into / f"{published.name}.toml")
        return published

    return publish


def left_behind() -> list[str]:
    """Files in the cache, but for the lock."""
    cache = hub.weights_cache()
    return [path.name for path in cache.rglob("*") if not path.name.endswith(".lock")] if cache.exists() else []


def test_a_shipped_file_is_used_in_place(publish: Any, folder: Path, tiny_file: Path) -> None:
    publish()
    shutil.copy(tiny_file, folder)
    assert hub.names() == ["tiny-v1"]
    assert hub.fetch("lungzoo:tiny-v1") == folder / "tiny-v1.npz"
    assert not hub.weights_cache().exists()


def test_a_shipped_file_that_is_damaged(publish: Any, folder: Path) -> None:
    publish("http://127.0.0.1:9/never-asked")
    (folder / "tiny-v1.npz").write_bytes(b"x")
    with pytest.raises(WeightsUnavailable, match=r"tiny-v1\.npz is damaged \(1 bytes instead of \d+\)"):
        hub.fetch("tiny-v1")


def test_unknown_names(publish: Any) -> None:
    publish()
    with pytest.raises(UnknownNameError) as caught:
        hub.fetch("tiny-v2")
    assert str(caught.value) == (
        "Unknown published weights 'tiny-v2'. Did you mean 'tiny-v1'? See: lungzoo weights list. "
        "Those of a hub need --hub or LUNGZOO_HUB. There is no file or folder of that name, either."
    )


def test_a_manifest_has_the_name_of_its_file(publish: Any, folder: Path) -> None:
    publish()
    (folder / "tiny-v1.toml").rename(folder / "other.toml")
    with pytest.raises(ConfigError, match=r"name must be that of the file. Received: 'tiny-v1'. Allowed: 'other'"):
        hub.find("other")


def test_fetched_once_and_kept(publish: Any, server: Any, manifest: WeightsManifest) -> None:
    publish(f"{server.base}/good")
    path = hub.fetch("tiny-v1")
    assert path == hub.weights_cache() / f"{manifest.sha256[:12]}-tiny-v1.npz"
    assert manifest.fault(path) is None
    assert hub.fetch("tiny-v1") == path
    assert server.asked["good"] == 1
    assert left_behind() == [path.name]
    assert hub.fetch("tiny-v1", offline=True) == path


def test_a_damaged_copy_in_the_cache_is_fetched_anew(publish: Any, server: Any, manifest: WeightsManifest) -> None:
    publish(f"{server.base}/good")
    path = hub.fetch("tiny-v1")
    path.write_bytes(b"x")
    with pytest.raises(WeightsUnavailable, match="is damaged"):
        hub.fetch("tiny-v1", offline=True)
    assert manifest.fault(hub.fetch("tiny-v1")) is None


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_says_what_goes_where(publish: Any, server: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    published = publish(f"{server.base}/good")
    if how == "environment":
        monkeypatch.setenv("LUNGZOO_OFFLINE", "1")
    with pytest.raises(WeightsUnavailable) as caught:
        hub.fetch("tiny-v1", offline=True if how == "argument" else None)
    assert str(caught.value) == (
        f"Offline, and they are not here: the weights 'tiny-v1' would be fetched from {server.base}/good "
        f"({published.size_bytes / 1e6:.1f} MB). Go online, or put tiny-v1.npz at {hub.get('tiny-v1').cached}."
    )
    assert not server.asked


def test_offline_zero_is_online(publish: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(f"{server.base}/good")
    monkeypatch.setenv("LUNGZOO_OFFLINE", "0")
    assert hub.fetch("tiny-v1").is_file()


def test_a_file_put_into_the_cache_by_hand(publish: Any, tiny_file: Path) -> None:
    publish()
    with pytest.raises(WeightsUnavailable, match=r"have no address to fetch them from. Put tiny-v1\.npz at"):
        hub.fetch("tiny-v1")
    hub.weights_cache().mkdir(parents=True)
    shutil.copy(tiny_file, hub.get("tiny-v1").cached)
    assert hub.fetch("tiny-v1") == hub.get("tiny-v1").cached


@pytest.mark.parametrize(
    ("how", "reason", "asked"),
    [
        ("missing", "404 Not Found", 1),
        ("wrong", "it serves another file; the sha256 differs", 1),
        ("endless", "it serves another file, larger than", 1),
        ("broken", "the connection broke off", 3),
        ("short", "it ended after", 3),
        ("stalled", "no answer within 0.4 s", 3),
    ],
)
def test_servers_that_fail(publish: Any, server: Any, how: str, reason: str, asked: int) -> None:
    publish(f"{server.base}/{how}")
    with pytest.raises(WeightsUnavailable) as caught:
        hub.fetch("tiny-v1")
    assert f"could not be fetched ({server.base}/{how}: {reason}" in str(caught.value)
    assert f"Go online, or put tiny-v1.npz at {hub.get('tiny-v1').cached}." in str(caught.value)
    assert server.asked[how] == asked
    assert left_behind() == []


def test_nobody_listens(publish: Any) -> None:
    publish("http://127.0.0.1:9/x")
    with pytest.raises(WeightsUnavailable, match=r"127\.0\.0\.1:9/x: connection refused"):
        hub.fetch("tiny-v1")
    assert left_behind() == []


def test_a_busy_server_is_asked_again(publish: Any, server: Any) -> None:
    publish(f"{server.base}/busy")
    assert hub.fetch("tiny-v1").is_file()
    assert server.asked["busy"] == 3


def test_the_next_address_is_tried(publish: Any, server: Any) -> None:
    publish(f"{server.base}/missing", f"{server.base}/wrong", f"{server.base}/good")
    assert hub.fetch("tiny-v1").is_file()
    assert dict(server.asked) == {"missing": 1, "wrong": 1, "good": 1}


def test_what_a_killed_process_left_is_swept_away(publish: Any, server: Any) -> None:
    publish(f"{server.base}/good")
    aside = hub.weights_cache() / f".{hub.get('tiny-v1').cached.name}.part"
    aside.mkdir(parents=True)
    (aside / "tmp123").write_bytes(b"half")
    path = hub.fetch("tiny-v1")
    assert left_behind() == [path.name]


def test_a_cache_that_cannot_be_made(
    publish: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(f"{server.base}/good")
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "taken"))
    with pytest.raises(StorageError, match="Cannot put the weights into"):
        hub.fetch("tiny-v1")


def test_a_folder_in_the_place_of_the_file(publish: Any, server: Any) -> None:
    publish(f"{server.base}/good")
    hub.get("tiny-v1").cached.mkdir(parents=True)
    with pytest.raises(StorageError, match="Cannot put the weights into"):
        hub.fetch("tiny-v1")


FETCH = """
import resource, sys
from lungzoo.errors import LungzooError
from lungzoo.weights import hub
if sys.argv[1:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    print(hub.fetch("tiny-v1"))
except LungzooError as error:
    print(type(error).__name__, error)
"""


def start_fetching(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Fetch in another process, which sees `folder` as a hub."""
    environment = {**os.environ, "LUNGZOO_HUB": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_fetch_once(publish: Any, folder: Path, server: Any) -> None:
    publish(f"{server.base}/slow")
    processes = [start_fetching(folder) for _ in range(3)]
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert answers == {str(hub.get("tiny-v1").cached)}
    assert server.asked["slow"] == 1


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes")
def test_a_disk_that_fills_up(publish: Any, folder: Path, server: Any) -> None:
    """A limit on the size of files stands for a full disk."""
    published = publish(f"{server.base}/good")
    answer = start_fetching(folder, str(published.size_bytes // 2)).communicate(timeout=60)[0]
    assert answer.startswith("StorageError Cannot write the weights: File too large.")
    assert server.asked["good"] == 1
    assert left_behind() == []


def test_waiting_for_another_process_ends(publish: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    publish(f"{server.base}/good")
    monkeypatch.setattr(download, "LOCK_WAIT_S", 0.1)
    cached = hub.get("tiny-v1").cached
    cached.parent.mkdir(parents=True)
    with FileLock(cached.parent / f".{cached.name}.lock"), pytest.raises(BusyError, match="Another process has been"):
        hub.fetch("tiny-v1")


def test_a_folder_as_a_hub(
    publish: Any, folder: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(title="ours")
    shelf = tmp_path / "hub"
    publish(into=shelf, title="another of the same name")
    publish(into=shelf, name="tiny-v9")
    shutil.copy(tiny_file, shelf)
    assert hub.names() == ["tiny-v1"]
    monkeypatch.setenv("LUNGZOO_HUB", str(shelf))
    assert hub.names() == ["tiny-v1", "tiny-v9"]
    assert hub.fetch("tiny-v9") == shelf / "tiny-v1.npz"
    assert hub.find("tiny-v1").title == "ours"


def test_an_address_as_a_hub_is_a_mirror(publish: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(f"{server.base}/missing")
    monkeypatch.setenv("LUNGZOO_HUB", f"{server.base}/mirror/")
    assert hub.get("tiny-v1").urls == (f"{server.base}/mirror/tiny-v1.npz", f"{server.base}/missing")
    assert hub.fetch("tiny-v1").is_file()
    assert dict(server.asked) == {"mirror": 1}
