"""Whole searches from the command line, on the phantom: killed and gone on with, and by two workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.errors import UsageError
from mlflow import MlflowClient

SPACE = """
name = "small"
title = "A small space"

[parameters."train.learning_rate"]
low = 1e-3
high = 1e-1
scale = "log"

[parameters."model.decoder_attention"]
choices = ["none", "scse"]
"""


class Search:
    """One search in a folder of its own."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        (folder / "small.toml").write_text(SPACE)

    def command(self, *options: str) -> list[str]:
        settings = ["model.encoder_options.width=4", "model.encoder_depth=3", "model.decoder_channels=[8,8,8]"]
        settings += ["data.val_fraction=0.2", "data.test_fraction=0.3"]
        sets = [word for setting in settings for word in ("--set", setting)]
        fixed = ["--model", "cnn_scratch", "--data", str(self.data), "--batch-size", "6", "--name", "s"]
        return [sys.executable, "-m", "lungzoo", "tune", "run", "small.toml", *fixed, *sets, *options]

    def start(self, *options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db"}
        with (self.folder / "out.txt").open("a") as out:
            return subprocess.Popen(
                self.command(*options), cwd=self.folder, env=environment, stdout=out, stderr=out, text=True,
                start_new_session=True,
            )  # fmt: skip

    def finish(self, *options: str) -> str:
        process = self.start(*options)
        assert process.wait(800) == 0, self.said()
        return self.said()

    def said(self) -> str:
        return (self.folder / "out.txt").read_text()

    def outcomes(self) -> dict[str, dict]:
        folder = self.folder / "runs" / "tune-s" / "outcomes"
        return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}

    def wait_for(self, process: subprocess.Popen[str], condition: Callable[[], object], seconds: float = 500) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)

    def trials_in_store(self) -> list:
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        experiment = client.get_experiment_by_name("tune-s")
        assert experiment is not None
        return client.search_runs([experiment.experiment_id], "tags.lungzoo.kind = 'trial'")


# They take a minute on an idle machine, and start many processes, which a busy one holds up.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def search(tmp_path, phantom) -> Search:
    return Search(tmp_path, phantom.path)


def test_killed_at_any_moment_it_goes_on(search, monkeypatch):
    """Hyperband of two epochs by factor two: 2·1 → 1·2, then 2·2 are 5 trials; killed twice."""
    options = ("--epochs", "2", "--factor", "2")
    for enough in (1, 3):
        process = search.start(*options)
        search.wait_for(process, lambda enough=enough: len(search.outcomes()) >= enough)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(1)  # the worker notices that its parent is gone
    before = {number: outcome["runs"] for number, outcome in search.outcomes().items()}

    said = search.finish(*options)

    outcomes = search.outcomes()
    assert len(outcomes) == 5
    assert "trial(s) over already; the search goes on" in said
    assert {number: outcomes[number]["runs"] for number in before} == before
    assert all(outcome["state"] == "finished" for outcome in outcomes.values()), outcomes
    recorded = Counter(run.data.tags["trial"] for run in search.trials_in_store())
    assert recorded == Counter(list(outcomes))  # each is one run in the store, none is there twice
    assert {run.info.status for run in search.trials_in_store()} == {"FINISHED"}
    learned = any(outcome["val_dice"] > 0 for outcome in outcomes.values())
    assert ("lungzoo tune apply s" if learned else "Its settings are no better than any") in said
    for number, outcome in outcomes.items():
        if outcome["continues"]:
            origin = outcomes[outcome["continues"]]
            assert outcome["curve"][: origin["until"]] == origin["curve"], number
    take_over(search, learned, monkeypatch)


def take_over(search: Search, learned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found becomes a file, once; what found no lesion only by force; another search cannot have the name."""
    folder = search.folder
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")

    def apply(*words: str) -> str:
        return CliRunner().invoke(app, ["tune", "apply", *words], catch_exceptions=False).stdout

    if not learned:
        with pytest.raises(UsageError, match="found no lesion"):
            apply("s", "--to", "best")
        assert not (folder / "best").exists()
    said = apply("s", "--to", "best", *([] if learned else ["--force"]))
    assert 'transfers = ["tuned:best/s.toml"]' in said
    assert 'search = "s"' in (folder / "best" / "s.toml").read_text()
    with pytest.raises(UsageError, match="Replace it with --force"):
        apply("s", "--to", "best")
    with pytest.raises(UsageError, match="Unknown search 't'"):
        apply("t")
    other = search.start("--epochs", "2", "--factor", "2", "--search-seed", "7")
    assert other.wait(120) == 2
    assert "another search_seed" in search.said()


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed(search):
    options = ("--epochs", "1", "--tuner", "random", "--trials", "4", "--workers", "2")
    process = search.start(*options)
    search.wait_for(process, lambda: len(search.outcomes()) >= 1)
    worker = _workers(process)[0]
    worker.send_signal(signal.SIGKILL)
    assert process.wait(800) == 0, search.said()

    outcomes = search.outcomes()
    assert sorted(outcomes) == [f"{number:04d}" for number in range(4)]
    assert all(outcome["state"] == "finished" for outcome in outcomes.values()), outcomes
    assert Counter(run.data.tags["trial"] for run in search.trials_in_store()) == Counter(list(outcomes))
    assert "SIGKILL" in search.said()
    assert len({json.dumps(outcome["values"]) for outcome in outcomes.values()}) == 4


@pytest.mark.slow
def test_another_machine_joins(search):
    """The other machine is a second command in the same folder."""
    address = f"127.0.0.1:{_free_port()}"
    options = ("--epochs", "1", "--tuner", "random", "--trials", "8", "--workers", "1", "--listen", address)
    process = search.start(*options)
    search.wait_for(process, lambda: len(search.outcomes()) >= 1)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{search.folder}/mlflow.db"}
    join = ["join", "runs/tune-s", "--chief", address, "--name", "far"]
    command = [sys.executable, "-m", "lungzoo", "tune", *join]
    far = subprocess.run(command, cwd=search.folder, env=environment, capture_output=True, text=True, timeout=800)
    assert far.returncode == 0, far.stderr
    assert process.wait(800) == 0, search.said()

    outcomes = search.outcomes()
    assert sorted(outcomes) == [f"{number:04d}" for number in range(8)]
    assert all(outcome["state"] == "finished" for outcome in outcomes.values()), outcomes
    assert Counter(run.data.tags["trial"] for run in search.trials_in_store()) == Counter(list(outcomes))
    assert "trial 0" in far.stderr  # it has done some of them


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def _workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [each for each in children if each.environ().get("KERASTUNER_TUNER_ID", "").startswith("worker")]
