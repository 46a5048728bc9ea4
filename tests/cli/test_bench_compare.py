"""`bench compare` and `bench reproduce` as a person meets them where something is wrong."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lungzoo.cli.bench import app
from lungzoo.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory whose store has no run."""
    from lungzoo.tracking.mlflow_connection import initialise_store

    path = tmp_path_factory.mktemp("empty")
    initialise_store(f"sqlite:///{path}/mlflow.db")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "quik", "quick"), "Unknown suite 'quik'. Did you mean 'quick'? See: lungzoo list suites"),
        (("compare", "abc123", "quick"), "No run 'abc123' in sqlite:///{folder}/mlflow.db."),
        (
            ("compare", "quick:x / y", "quick"),
            "No run of suite 'quick' in sqlite:///{folder}/mlflow.db. Start one with: lungzoo bench run q",
        ),
        (("reproduce", "run:abc123"), "No run 'abc123' in sqlite:///{folder}/mlflow.db."),
    ],
)
def test_what_is_not_there(arguments, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(message.format(folder=folder))
    assert not [path for path in folder.iterdir() if not path.name.startswith("mlflow")]


def test_on_the_command_line_it_is_one_line(folder):
    done = subprocess.run(
        [sys.executable, "-m", "lungzoo", "bench", "reproduce", "abc123"],
        capture_output=True, text=True, timeout=250, env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
    )  # fmt: skip
    assert done.stderr.startswith("Error: No run 'abc123' in ")
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 2
