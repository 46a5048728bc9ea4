"""A suite from end to end: real subprocesses, a real MLflow store, a tiny phantom."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.data.store import PreparedDataset

# Many processes, which a busy machine holds up; each command has 280 s.
pytestmark = pytest.mark.timeout(900)

SUITE = """
name = "tiny"
title = "A tiny suite"
seeds = {seeds}

[data]
val_fraction = 0.2
test_fraction = 0.3

[model]
encoder_depth = 3
decoder_channels = [8, 8, 8]
decoder_convs = 1

[train]
epochs = {epochs}
batch_size = 6
learning_rate = 5e-3

[score]
bootstrap_draws = 200

[[arms]]
models = ["cnn_scratch"]
model = {{ encoder_options = {{ width = 4 }} }}
{more}
"""
IMAGENET = """
[[arms]]
models = ["unet_mobilenetv2"]
transfers = ["imagenet-frozen"]
model = { encoder_options = { alpha = 0.35 } }
"""


class Bench:
    """The command line in one working directory, without a network."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        self.environment = {**os.environ, **offline, "KERAS_HOME": str(folder / "keras")}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def write(self, epochs: int = 2, more: str = "", seeds: tuple[int, ...] = (0,)) -> None:
        text = SUITE.format(epochs=epochs, more=more, seeds=list(seeds))
        (self.folder / "tiny.toml").write_text(text)

    def start(self, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "lungzoo", "bench", "run", "tiny.toml", "--data", str(self.data), *options]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A test run in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        process = self.start(*options)
        out, err = process.communicate(timeout=280)
        return process.returncode, out, err

    def ask(self, *words: str) -> str:
        """What a command says that trains nothing, in this process."""
        with pytest.MonkeyPatch.context() as here:
            here.chdir(self.folder)
            here.delenv("MLFLOW_TRACKING_URI", raising=False)
            return CliRunner().invoke(app, ["bench", *words], catch_exceptions=False).stdout

    def report(self) -> dict:
        return json.loads(self.ask("report", "tiny.toml", "--json"))


@pytest.fixture
def bench(tmp_path, phantom: PreparedDataset) -> Bench:
    return Bench(tmp_path, phantom.path)


def test_killed_continued_skipped_and_repeated(bench):
    bench.write(more=IMAGENET)
    with bench.start() as first:
        for line in first.stderr:
            if "epoch 1/2" in line:
                break
        first.kill()
    time.sleep(2)  # the worker notices that its parent is gone
    code, out, err = bench.run()
    assert code == 0, err
    assert "Continuing after epoch 1 of 2." in err
    assert "A tiny suite" in out
    assert "✓ cnn_scratch width=4 / scratch, seed 0: test Dice" in err
    assert "skipped: the imagenet weights of mobilenetv2 could not be fetched" in out
    report = bench.report()
    rows = {row["arm"]: row for row in report["rows"]}
    assert rows["cnn_scratch width=4 / scratch"]["seeds"] == [0]
    assert rows["cnn_scratch width=4 / scratch"]["status"] == "finished"
    skipped = rows["unet_mobilenetv2 alpha=0.35 / imagenet-frozen"]
    assert skipped["status"] == "skipped"
    assert not skipped["metrics"]

    code, again, err = bench.run()  # finished runs are kept; the skipped arm is tried again, and nothing else
    assert code == 0
    assert "1 run(s) to do, 1 finished already" in err
    assert "✓" not in err
    assert again == out

    told, untold = "cnn_scratch width=4 / scratch, seed 0", "unet_mobilenetv2 alpha=0.35 / imagenet-frozen, seed 0"
    ahead = ("run", "tiny.toml", "--dry-run")
    on = f"2 run(s) on {bench.data}"
    assert bench.ask(*ahead, "--data", str(bench.data)).splitlines() == [
        f"{told}: finished",
        untold,
        f"{on}, 1 of them finished; nothing was started.",
    ]
    fresh = bench.ask(*ahead, "--data", str(bench.data), "--fresh").splitlines()
    assert fresh == [told, untold, f"{on}; nothing was started."]
    assert bench.ask(*ahead).splitlines()[-1] == (
        "2 run(s) on the dataset given with --data; which of them are finished is not known without it; nothing was "
        "started."
    )


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(bench):
    bench.write(epochs=60)
    first = bench.start()
    wait_for(bench.folder / "runs" / ".lock")
    time.sleep(1)
    code, _, err = bench.run()
    assert code == 1
    assert "Another lungzoo run is using" in err
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_worker_that_is_killed_is_a_row_and_the_suite_goes_on(bench):
    bench.write(epochs=2, seeds=(0, 1))
    with bench.start() as process:
        for line in process.stderr:
            if "seed 0:" in line:
                subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=True)
                break
        err = process.stderr.read()
        out = process.stdout.read()
    assert process.returncode == 1  # a failed run, though the others went on
    assert "the process was ended by SIGKILL" in err
    assert "✓ cnn_scratch width=4 / scratch, seed 1" in err
    assert "1 of 2 seeds" in out


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.1)
