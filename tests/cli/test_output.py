"""How commands have TensorFlow start."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lungzoo import cli
from lungzoo.cli import app
from lungzoo.cli.output import ONEDNN
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UnknownNameError


@pytest.fixture(params=["predict", "export", "tune postprocess"])
def command(request: pytest.FixtureRequest, tmp_path: Path, phantom: PreparedDataset) -> list[str]:
    """A command that runs a model, up to the name of its weights, which is none."""
    np.save(tmp_path / "slice.npy", np.zeros((64, 64), np.uint8))
    scan = str(tmp_path / "slice.npy")
    return {
        "predict": ["predict", scan, "-o", str(tmp_path / "out.json"), "--weights", "nobody"],
        "export": ["export", "nobody", "--to", "npz", "-o", str(tmp_path / "out.npz")],
        "tune postprocess": [
            *("tune", "postprocess", "nobody", "--data", str(phantom.path), "-o", str(tmp_path / "out")),
        ],
    }[request.param]


@pytest.mark.parametrize(("chosen", "then"), [(None, "1"), ("0", "0")])
def test_commands_that_run_a_model_ask_for_onednn_unless_the_user_said_no(
    command: list[str], chosen: str | None, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ONEDNN, chosen or "")
    if chosen is None:
        monkeypatch.delenv(ONEDNN)
    with pytest.raises(UnknownNameError):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert os.environ[ONEDNN] == then


def test_no_other_command_asks_for_it() -> None:
    """Training has the digits that its fingerprint stands for, and gradients make oneDNN talk."""
    commands = Path(cli.__file__).parent.glob("*.py")
    asking = {path.stem for path in commands if "onednn=True" in path.read_text(encoding="utf-8")}
    assert asking == {"predict", "export", "tune_postprocess"}
