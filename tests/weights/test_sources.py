"""Hubs: a folder with an index, the same folder over HTTP, a Hugging Face repository; and what they do wrong."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.content import content_dir
from lungzoo.errors import ConfigError, LungzooError, UnknownNameError, WeightsUnavailable
from lungzoo.models.load import published_starts
from lungzoo.weights import hub, receiving
from lungzoo.weights.index import INDEX, HubIndex
from lungzoo.weights.manifest import WeightsManifest, write_manifest
from lungzoo.weights.receiving import Failed, check_redirect
from lungzoo.weights.shelf import shelve
from lungzoo.weights.sources import FolderSource, HuggingFaceSource, WebSource, configured, source_of


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "PAUSES_S", (0.01,))
    monkeypatch.setattr(receiving, "TIMEOUT_S", 1.0)


@pytest.fixture
def put(manifest: WeightsManifest, tiny_file: Path) -> Callable[..., Path]:
    """Puts the tiny weights into a hub under a name."""

    def fill(name: str, folder: Path) -> None:
        shutil.copy(tiny_file, folder / f"{name}.npz")
        write_manifest(manifest.model_copy(update={"name": name, "file": f"{name}.npz"}), folder / "manifest.toml")
        (folder / "README.md").write_text("card")

    def put(shelf: Path, name: str = "tiny-v2", force: bool = False) -> Path:
        return shelve(shelf, lambda index: name, fill, force)

    return put


@pytest.fixture
def shelf(put: Callable[..., Path], tmp_path: Path) -> Path:
    put(tmp_path / "hub")
    return tmp_path / "hub"


class Site:
    """Serves a folder; `answers` has what is said instead at a path: bytes, a status, or an address to go to."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, bytes | int | str] = {}
        self.asked: list[str] = []
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                answer = site.answers.get(self.path)
                if answer is None:
                    super().do_GET()
                elif isinstance(answer, int):
                    self.send_error(answer)
                elif isinstance(answer, str):
                    self.send_response(302)
                    self.send_header("Location", answer)
                    self.end_headers()
                else:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def site(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(shelf)
    monkeypatch.setenv("LUNGZOO_HUB", site.address)
    yield site
    site.close()


def cached() -> list[str]:
    """What was kept of hubs and weights, but for locks."""
    folders = (hub.weights_cache(), hub.weights_cache().parent / "hubs")
    paths = (path for folder in folders if folder.exists() for path in folder.rglob("*"))
    return sorted(path.suffix for path in paths if not path.name.endswith(".lock"))


def test_what_hubs_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", f"{tmp_path}, http://a.example/hub/ ,hf:org/name,hf:org/name@v1.0,")
    assert configured() == [
        FolderSource(tmp_path),
        WebSource("http://a.example/hub"),
        HuggingFaceSource("org/name"),
        HuggingFaceSource("org/name", "v1.0"),
    ]
    (tmp_path / "with spaces, and commas").mkdir()
    monkeypatch.setenv("LUNGZOO_HUB", str(tmp_path / "with spaces, and commas"))
    assert configured() == [FolderSource(tmp_path / "with spaces, and commas")]
    monkeypatch.setenv("LUNGZOO_HUB", f'hf:org/name,"{tmp_path}/with spaces, and commas", {tmp_path}/with spaces')
    assert configured()[1:] == [
        FolderSource(tmp_path / "with spaces, and commas"),
        FolderSource(tmp_path / "with spaces"),
    ]


@pytest.mark.parametrize(
    "address",
    ["hf:name", "hf:org/../x", "hf:org/a..b", "hf:org/n@../x", "hf:", "ftp://a/b", "file:///etc", "http://a hf:b/c"],
)
def test_what_is_no_hub(address: str) -> None:
    with pytest.raises(ConfigError, match="Received: '"):
        source_of(address)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"none' is no folder\. Allowed: a folder, http\(s\)://…, hf:ORG/NAME"):
        hub.names()


def test_a_folder_is_used_in_place(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", str(shelf))
    assert "tiny-v2" in hub.names(local=True)
    assert hub.fetch("tiny-v2") == shelf / "tiny-v2" / "tiny-v2.npz"
    assert list(hub.get("tiny-v2").copies()) == ["hub"]
    assert cached() == []


def test_a_folder_whose_manifest_was_changed(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", str(shelf))
    path = shelf / "tiny-v2" / "manifest.toml"
    path.write_text(path.read_text().replace('title = ""', 'title = "x"'))
    with pytest.raises(WeightsUnavailable, match="is not the manifest that the hub's index describes"):
        hub.get("tiny-v2")
    path.unlink()
    with pytest.raises(WeightsUnavailable, match=r"lacks tiny-v2/manifest\.toml: No such file"):
        hub.get("tiny-v2")


def test_an_address_serves_what_a_folder_holds(site: Site, tiny_file: Path) -> None:
    assert "tiny-v2" in hub.names()
    assert "tiny-v2" not in hub.names(local=True)
    path = hub.fetch("tiny-v2")
    assert path.read_bytes() == tiny_file.read_bytes()
    assert site.asked == ["/index.json", "/index.json", "/tiny-v2/manifest.toml", "/tiny-v2/tiny-v2.npz"]
    assert hub.fetch("tiny-v2") == path
    assert site.asked[4:] == ["/index.json"]
    assert cached() == [".json", ".npz", ".toml"]


def test_what_was_fetched_is_there_without_a_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsUnavailable, match=r"Offline, and http.*index\.json was never read from here"):
        hub.get("tiny-v2", offline=True)
    path = hub.fetch("tiny-v2")
    site.asked.clear()
    monkeypatch.setenv("LUNGZOO_OFFLINE", "1")
    assert hub.fetch("tiny-v2") == path
    assert site.asked == []
    path.unlink()
    with pytest.raises(WeightsUnavailable, match="Offline, and they are not here: the weights 'tiny-v2' would be"):
        hub.fetch("tiny-v2")


def test_a_server_that_went_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub.fetch("tiny-v2")
    site.answers["/index.json"] = 503
    assert hub.fetch("tiny-v2") == path
    monkeypatch.setenv("LUNGZOO_HUB", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match=r"127\.0\.0\.1:9/index\.json: connection refused"):
        hub.get("tiny-v2")


def test_names_that_ship_ask_no_hub(site: Site) -> None:
    name = FolderSource(content_dir("weights")).names(True)[0]
    assert hub.fetch(name).is_file()
    assert site.asked == []


def test_several_hubs(site: Site, put: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "other", "tiny-v3")
    put(tmp_path / "other", "tiny-v2")
    monkeypatch.setenv("LUNGZOO_HUB", f"{tmp_path / 'other'},{site.address}")
    assert {"tiny-v2", "tiny-v3"} <= set(hub.names())
    assert hub.get("tiny-v2").where == str(tmp_path / "other")
    site.answers["/index.json"] = 404
    monkeypatch.setenv("LUNGZOO_HUB", f"{site.address},{tmp_path / 'other'}")
    assert hub.get("tiny-v3").where == str(tmp_path / "other")
    with pytest.raises(WeightsUnavailable, match="404"):
        hub.get("tiny-v9")


@pytest.mark.parametrize("command", ["list", "list tiny*", "verify", "verify tiny-v2 tiny-v3", "fetch tiny-v2 tiny-v3"])
def test_a_command_asks_for_an_index_once(command: str, site: Site, put: Callable[..., Path], shelf: Path) -> None:
    put(shelf, "tiny-v3")
    done = CliRunner().invoke(app, ["weights", *command.split()], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert {"tiny-v2", "tiny-v3"} <= set(re.findall(r"^[\w-]+", done.stdout, re.MULTILINE))
    assert site.asked.count("/index.json") == 1


def test_a_command_asks_for_a_repository_once(shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(shelf / "tiny-v2", tmp_path / "site" / "org" / "Tiny" / "resolve" / "main")
    site = Site(tmp_path / "site")
    monkeypatch.setenv("HF_ENDPOINT", site.address)
    monkeypatch.setenv("LUNGZOO_HUB", "hf:org/Tiny")
    try:
        assert "tiny-v2" in [published.manifest.name for published in hub.everything()]
    finally:
        site.close()
    assert site.asked == ["/org/Tiny/resolve/main/manifest.toml"]


def test_short_starts_ask_nobody(site: Site, put: Callable[..., Path], tmp_path: Path, monkeypatch: Any) -> None:
    put(tmp_path / "other", "tiny-v3")
    monkeypatch.setenv("LUNGZOO_HUB", f"{site.address},{tmp_path / 'other'}")
    assert "lidc" in published_starts()["mobilenetv2"]
    assert site.asked == []


def entry(shelf: Path, **changes: Any) -> bytes:
    values = json.loads((shelf / INDEX).read_text())
    values["weights"][0] |= changes
    return json.dumps(values).encode()


def doctored(shelf: Path, old: str, new: str) -> tuple[bytes, bytes]:
    """A manifest with a change, and an index that vouches for it."""
    content = (shelf / "tiny-v2" / "manifest.toml").read_text().replace(old, new).encode(errors="surrogateescape")
    digest = hashlib.sha256(content).hexdigest()
    return content, entry(shelf, manifest_sha256=digest, manifest_bytes=len(content))


INDEXES: dict[str, tuple[Any, type[LungzooError], str]] = {
    "no JSON": (b"<html>It works!</html>", ConfigError, "is no index of a hub: it is not valid JSON"),
    "deep JSON": (b"[" * 100_000, ConfigError, "is no index of a hub: it is not valid JSON"),
    "a list": (b"[]", ConfigError, "it must hold a JSON object"),
    "another format": (b'{"format": 2, "weights": []}', ConfigError, "format: Input should be 1"),
    "not text": (b"\xff\xfe\x00", ConfigError, "is no index of a hub"),
    "missing": (404, WeightsUnavailable, "404"),
    "forbidden": (403, WeightsUnavailable, "403"),
    "failing": (500, WeightsUnavailable, "500"),
    "in a circle": ("/index.json", WeightsUnavailable, "it redirects in a circle"),
    "to a file": ("file:///etc/passwd", WeightsUnavailable, "it redirects to what is no http address"),
    "nothing there": ("http://127.0.0.1:9/x", WeightsUnavailable, "connection refused"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_that_is_none(case: str, site: Site) -> None:
    answer, kind, message = INDEXES[case]
    site.answers["/index.json"] = answer
    with pytest.raises(kind, match=message):
        hub.fetch("tiny-v2")
    assert cached() == []


@pytest.mark.parametrize("name", ["../tiny-v2", "..", "/etc/passwd", "a/b", "A", "", ".hidden"])
def test_names_that_leave_the_hub(name: str, site: Site, shelf: Path) -> None:
    site.answers["/index.json"] = entry(shelf, name=name)
    with pytest.raises(ConfigError, match=r"weights\.0\.name: String should match pattern"):
        hub.fetch("tiny-v2")
    with pytest.raises(LungzooError):
        hub.fetch(name)
    assert cached() == []
    assert set(site.asked) == {"/index.json"}


@pytest.mark.parametrize(
    ("key", "value"), [("file", "../x.npz"), ("size_bytes", 10**15), ("sha256", "0"), ("run", "rm")]
)
def test_entries_that_are_none(key: str, value: Any, site: Site, shelf: Path) -> None:
    site.answers["/index.json"] = entry(shelf, **{key: value})
    with pytest.raises(ConfigError, match=rf"weights\.0\.{key}"):
        hub.fetch("tiny-v2")
    assert cached() == []


FILES: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "damaged": (lambda content: b"x" + content[1:], "the sha256 differs"),
    "truncated": (lambda content: content[:-10], "it ended after"),
    "endless": (lambda content: content + b"x" * 10**6, "it serves another file, larger than"),
    "missing": (lambda content: 404, "404"),
    "moved away": (lambda content: "http://127.0.0.1:9/", "connection refused"),
}


@pytest.mark.parametrize("what", ["manifest.toml", "tiny-v2.npz"])
@pytest.mark.parametrize("how", FILES)
def test_files_that_are_not_those_of_the_index(how: str, what: str, site: Site, shelf: Path) -> None:
    change, message = FILES[how]
    site.answers[f"/tiny-v2/{what}"] = change((shelf / "tiny-v2" / what).read_bytes())
    with pytest.raises(WeightsUnavailable, match=message):
        hub.fetch("tiny-v2")
    kept = [".json"] if what == "manifest.toml" else [".json", ".toml"]
    assert cached() == kept  # an index and a manifest that are in order; nothing of what is not
    site.answers.clear()
    assert hub.fetch("tiny-v2").is_file()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('file = "tiny-v2.npz"', 'file = "../../x.npz"', "file: String should match pattern"),
        ('name = "tiny-v2"', 'name = "tiny-v1"', "name must be what the hub's index says, 'tiny-v2'"),
        ("sha256 = ", "sha265 = ", "Unknown key 'sha265'"),
        ('name = "tiny-v2"', "name = " + "[" * 5000, "is nested too deeply|not valid TOML"),
        ('name = "tiny-v2"', "\udcff\udcfe", "is not valid TOML|is not UTF-8"),
    ],
)
def test_manifests_that_an_index_vouches_for(old: str, new: str, message: str, site: Site, shelf: Path) -> None:
    site.answers["/tiny-v2/manifest.toml"], site.answers["/index.json"] = doctored(shelf, old, new)
    with pytest.raises(ConfigError, match=message):
        hub.fetch("tiny-v2")
    assert ".npz" not in cached()


def test_a_redirect_that_leads_there_is_followed(site: Site, tiny_file: Path) -> None:
    site.answers["/tiny-v2/tiny-v2.npz"] = f"{site.address}/tiny-v2/tiny-v2.npz?from=elsewhere"
    assert hub.fetch("tiny-v2").read_bytes() == tiny_file.read_bytes()


def test_redirects_from_https_stay_there() -> None:
    check_redirect("https://a.example/x", "https://b.example/x")
    check_redirect("https://a.example/x", "/y")
    check_redirect("http://a.example/x", "http://b.example/y")
    check_redirect("https://a.example/x", None)
    with pytest.raises(Failed, match="it redirects from https to http://b"):
        check_redirect("https://a.example/x", "http://b.example/x")


def test_unknown_names_are_told_with_those_of_the_hubs(site: Site) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown published weights 'tiny-v7'\. Did you mean 'tiny-v2'"):
        hub.get("tiny-v7")


def test_a_hugging_face_repository(shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "site" / "org" / "Tiny" / "resolve" / "main"
    shutil.copytree(shelf / "tiny-v2", place)
    site = Site(tmp_path / "site")
    try:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        assert hub.get("hf:org/Tiny").manifest.name == "tiny-v2"
        assert hub.fetch("hf:org/Tiny").is_file()
        monkeypatch.setenv("LUNGZOO_HUB", "hf:org/Tiny")
        assert "tiny-v2" in hub.names()
        assert hub.get("tiny-v2").where == "hf:org/Tiny"
        with pytest.raises(WeightsUnavailable, match=r"resolve/v2/manifest\.toml: 404"):
            hub.get("hf:org/Tiny@v2")
    finally:
        site.close()
    assert hub.fetch("hf:org/Tiny", offline=True).is_file()


def test_two_entries_of_one_name(shelf: Path) -> None:
    values = json.loads((shelf / INDEX).read_text())
    with pytest.raises(ValueError, match="each name belongs to one set of weights"):
        HubIndex.model_validate({"format": 1, "weights": values["weights"] * 2})
