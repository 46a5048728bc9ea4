"""The commands of docs/serving.md, run: a suite, a server on the loopback interface, a slice sent to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lungzoo

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SUITE = """name = "tiny"
title = "Is it served?"
seeds = [0]
[phantom]
patients = 30
slices_per_patient = 8
size_px = 128
[train]
epochs = 2
batch_size = 8
[[arms]]
models = ["unet_mobilenetv2"]
transfers = ["lidc-finetune"]
[arms.model]
encoder_options = {alpha = 0.35}
encoder_depth = 4
decoder_channels = [64, 48, 32, 16]
decoder_convs = 1
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def block(language: str) -> str:
    """Return the one block of a language that the page has."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


@dataclass(frozen=True)
class Served:
    """A server and the folder that it was started in."""

    folder: Path
    port: int

    def post(self, body: Any, content: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/invocations", data, {"Content-Type": content})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "tiny.toml").write_text(SUITE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bin_folder = Path(sys.executable).parent
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment |= {"PATH": f"{bin_folder}{os.pathsep}{environment['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    train, serve = block("bash").replace("quick@", "tiny@").replace("run quick", "run tiny.toml").splitlines()
    subprocess.run(train, shell=True, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    command = serve.replace("--port 5001", f"--port {port}")
    server = subprocess.Popen(
        f"exec env {command}", shell=True, cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port, server)
        yield Served(folder, port)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except OSError:
            time.sleep(1)
    pytest.fail("the server did not start")


@pytest.fixture(scope="module")
def model(served: Served) -> Any:
    """The weights of the suite's one run, loaded by lungzoo."""
    (manifest,) = (served.folder / "mlartifacts").rglob("artifacts/weights/manifest.json")
    return lungzoo.load(manifest.parent)


def test_the_page_gets_what_lungzoo_predicts(
    served: Served, model: Any, grey_slices: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (served.folder / "data" / "lidc").mkdir(parents=True)
    np.save(served.folder / "data" / "lidc" / "images.npy", grey_slices)
    monkeypatch.chdir(served.folder)
    seen: dict[str, Any] = {}
    exec(block("python").replace(":5001", f":{served.port}"), seen)
    ours = np.asarray(model.predict_on_batch(grey_slices[:1, ..., None].astype(np.float32) / 255))
    assert np.abs(np.array(seen["answer"]) - ours).max() < 1e-4
    assert seen["probability"].shape == grey_slices[:1].shape


def test_a_batch_of_another_size(served: Served, model: Any, grey_slices: np.ndarray) -> None:
    batch = grey_slices[:, 3:50, 5:70, None].astype(np.float32) / 255
    status, answer = served.post({"inputs": batch.tolist()})
    assert status == 200
    assert np.abs(np.array(answer["predictions"]) - np.asarray(model.predict_on_batch(batch))).max() < 1e-4


SLICE = [[[[0.5]] * 4] * 4]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": [[[[-1000.0], [40.0]]]]}, "Received: -1000 to 40, which looks like HU"),
        ({"inputs": [[[[0.0], [255.0]]]]}, "Received: 0 to 255, which looks like 8-bit grey, to be divided by 255"),
        ({"inputs": [[[[0.5], [None]]]]}, "Some values are missing (null or NaN)"),
        ({"inputs": SLICE[0]}, "Shape of input (4, 4, 1) does not match expected shape (-1, -1, -1, 1)"),
        (
            {"inputs": [[[[0.5, 0.5, 0.5]]]]},
            "(1, 1, 1, 3) does not match expected shape (-1, -1, -1, 1)",
        ),
        ({"inputs": []}, "tensor-based model signature"),
        ({"inputs": "a slice"}, "Failed to convert data `a slice` to type `Tensor('float32', (-1, -1, -1, 1))`"),
        ({"inputs": [[[["bright"]]]]}, "could not convert string to float: 'bright'"),
        ({"inputs": [[[[0.5], [0.5]], [[0.5]]]]}, "inhomogeneous shape"),
        ({"slices": SLICE}, "must be a JSON dictionary with exactly one of the input fields"),
        (b"{{{", "Ensure that input is a valid JSON formatted string"),
    ],
)
def test_bad_input_is_refused_in_words(served: Served, body: Any, message: str) -> None:
    status, answer = served.post(body)
    assert status == 400
    assert message in answer["message"]
    assert "stack_trace" not in answer
    assert served.post({"inputs": SLICE})[0] == 200  # and the server goes on
