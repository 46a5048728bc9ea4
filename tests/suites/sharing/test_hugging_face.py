"""Uploads, with the real client against a server that speaks as much of the protocol as one commit needs."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import lungzoo
from lungzoo.errors import StorageError, UsageError
from lungzoo.suites.sharing.publish import Wishes, publish

pytest.importorskip("huggingface_hub", reason="pip install 'lungzoo[hub]'")


class Service:
    """Repositories in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []
        self.refuses = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.answer(*service.post(self.path, content))

            def do_GET(self) -> None:
                found = service.files.get(self.path.partition("/resolve/main/")[2])
                self.answer(200 if found is not None else 404, found or b"")

            do_HEAD = do_GET

            def answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "a" * 40)
                if status == 404:
                    self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"

    def post(self, path: str, content: bytes) -> tuple[int, bytes]:
        if self.refuses:
            return 403, b'{"error": "You may not write here."}'
        answer: dict[str, Any] = {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            self.made.append(json.loads(content))
            answer = {"url": f"{self.address}/org/Tiny"}
        elif "/preupload/" in path:
            asked = json.loads(content)["files"]
            answer = {
                "files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            }
        elif "/commit/" in path:
            lines = [json.loads(line) for line in content.splitlines()]
            self.files |= {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            answer = {"commitOid": "a" * 40, "commitUrl": f"{self.address}/org/Tiny/commit/{'a' * 40}"}
        return 200, json.dumps(answer).encode()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service()
    monkeypatch.setenv("HF_ENDPOINT", service.address)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield service
    service.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_up_and_down_again(service: Service, recorded: Any) -> None:
    done = publish(recorded.run_id, "hf:org/Tiny", Wishes(private=True), recorded.tracker)
    assert (done.name, done.place) == ("tiny", f"{service.address}/org/Tiny")
    assert set(service.files) == {"README.md", "manifest.toml", "tiny.npz"}
    assert service.made[0]["name"] == "Tiny"
    assert service.made[0].get("private") or service.made[0]["visibility"] == "private"
    assert service.files["README.md"].startswith(b"---\nlicense: ")
    assert b'lungzoo.load("hf:org/Tiny")' in service.files["README.md"]
    assert lungzoo.load("hf:org/Tiny").name == "cnn_scratch"
    with pytest.raises(UsageError, match=r"has weights\. Publish to another repository, or replace them with --force"):
        publish(recorded.run_id, "hf:org/Tiny", Wishes(), recorded.tracker)
    assert publish(recorded.run_id, "hf:org/Tiny", Wishes(name="mine", force=True), recorded.tracker).name == "mine"
    assert "mine.npz" in service.files


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_its_own_tool_downloads(service: Service, recorded: Any, tmp_path: Path) -> None:
    """`hf download` keeps links to a store of its own, unless it is told a folder."""
    from huggingface_hub import hf_hub_download

    publish(recorded.run_id, "hf:org/Tiny", Wishes(), recorded.tracker)

    def download(**place: Any) -> Path:
        paths = [hf_hub_download("org/Tiny", name, endpoint=service.address, **place) for name in service.files]
        return Path(paths[0]).parent

    with pytest.raises(UsageError, match="you get one with: hf download ORG/NAME --local-dir FOLDER"):
        lungzoo.load(download(cache_dir=tmp_path / "cache"))
    folder = download(cache_dir=tmp_path / "other", local_dir=tmp_path / "folder")
    assert lungzoo.load(folder).name == "cnn_scratch"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_service_that_refuses(service: Service, recorded: Any) -> None:
    service.refuses = True
    with pytest.raises(StorageError, match=r"Hugging Face did not take the weights for org/Tiny: .*HF_TOKEN"):
        publish(recorded.run_id, "hf:org/Tiny", Wishes(), recorded.tracker)
    assert service.files == {}


def test_the_extra_is_named_where_it_is_missing(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError) as caught:
        publish(recorded.run_id, "hf:org/Tiny", Wishes(), recorded.tracker)
    assert str(caught.value) == (
        "Uploads to Hugging Face need the package huggingface_hub, which is not installed: pip install 'lungzoo[hub]'"
    )
