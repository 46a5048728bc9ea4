"""What TensorFlow is told in programs of lungzoo's own."""

import os
import subprocess
import sys

import pytest

from lungzoo.tracking.environment import describe_environment
from lungzoo.variables import ONEDNN, TENSORFLOW, set_defaults


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TENSORFLOW:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ONEDNN, "0")
    set_defaults()
    assert {name: os.environ[name] for name in TENSORFLOW} == {**TENSORFLOW, ONEDNN: "0"}
    assert describe_environment()["onednn"] == "0"
    monkeypatch.delenv(ONEDNN)
    assert describe_environment()["onednn"] == "as TensorFlow chooses"


def test_importing_lungzoo_leaves_tensorflow_as_it_is() -> None:
    code = "import os, lungzoo, lungzoo.cli; print(sorted({*os.environ} & {'TF_ENABLE_ONEDNN_OPTS'}))"
    environment = {name: value for name, value in os.environ.items() if name not in TENSORFLOW}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
