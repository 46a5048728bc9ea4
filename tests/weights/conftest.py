"""A tiny model, its published weights, and a server that misbehaves on request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lungzoo.config import ModelConfig
from lungzoo.models.assemble import build_model
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import WeightsManifest

TINY = ModelConfig(
    name="cnn_scratch", encoder_options={"width": 4}, encoder_depth=3, decoder_channels=(8, 8, 4), decoder_convs=1
)


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    return TINY


@pytest.fixture(scope="session")
def tiny_model() -> Any:
    """Not to be changed by a test."""
    return build_model(TINY)


@pytest.fixture(scope="session")
def tiny_file(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny-v1.npz"
    write_weights(tiny_model, path)
    return path


@pytest.fixture(scope="session")
def manifest(tiny_file: Path) -> WeightsManifest:
    import hashlib

    content = tiny_file.read_bytes()
    return WeightsManifest(
        name="tiny-v1",
        model=TINY,
        file=tiny_file.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    for name in ("LUNGZOO_OFFLINE", "LUNGZOO_HUB"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


class Server:
    """Serves one file in the way that the path asks for, and counts requests."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, Counter[str]()
        self.done = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        how = request.path.strip("/").split("/")[0]
        self.asked[how] += 1
        if how == "missing":
            request.send_error(404)
            return
        if how == "busy" and self.asked[how] < 3:
            request.send_error(503)
            return
        request.send_response(200)
        if how not in ("short", "endless"):
            request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        if how == "stalled":
            request.wfile.write(self.content[:100])
            self.done.wait(20)
        elif how in ("broken", "short"):
            request.wfile.write(self.content[: len(self.content) // 2])
        elif how == "wrong":
            request.wfile.write(b"x" * len(self.content))
        elif how == "endless":
            try:
                while not self.done.is_set():
                    request.wfile.write(b"x" * 65536)
            except OSError:
                pass
        else:
            if how == "slow":
                time.sleep(0.5)
            request.wfile.write(self.content)

    def close(self) -> None:
        self.done.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server(tiny_file: Path) -> Iterator[Server]:
    server = Server(tiny_file.read_bytes())
    yield server
    server.close()
