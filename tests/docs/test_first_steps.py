"""docs/first-steps.md works as it stands: its blocks are run in their order, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lungzoo.config import SuiteConfig
from lungzoo.schema import parse

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "first-steps.md"
RUN = "3f2a91"  # stands for the reader's own run on the page
# What a process sees that has no lungzoo, nor what lungzoo is built on.
ELSEWHERE = "import sys\nfor name in ('lungzoo', 'keras', 'tensorflow'):\n    sys.modules[name] = None\n"
Block = tuple[str, str]


def blocks_of(text: str) -> list[Block]:
    """Return (language, content) of the fenced blocks that are carried out, in their order."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(language, body) for language, body in fenced if language in ("bash", "python", "toml")]


class Reader:
    """Does what the page says, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_id = RUN
        tools = folder.parent / "tools"
        tools.mkdir()
        script = tools / "lungzoo"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lungzoo.cli "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        cleared = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "LUNGZOO_HUB")
        self.environment = {key: value for key, value in os.environ.items() if key not in cleared}
        self.environment |= {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "LUNGZOO_CACHE": str(folder.parent / "cache"),
            "LUNGZOO_OFFLINE": "1",
        }

    def follow(self, block: Block) -> str:
        """Carry out a block; returns what it printed."""
        language, body = block
        if language == "toml":
            name = body.partition("\n")[0].removeprefix("# ")
            (self.folder / name).write_text(body, encoding="utf-8")
            return ""
        if language == "python":
            return self._call([sys.executable, "-c", body if "lungzoo" in body else ELSEWHERE + body])
        lines = [line for line in body.splitlines() if not line.startswith("pip install")]
        return self._call(["bash", "-euo", "pipefail", "-c", "\n".join(lines).replace(RUN, self.run_id)])

    def _call(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        if found := re.search(r"--transfer run:(\w+)-finetune", done.stdout):
            self.run_id = found[1][: len(RUN)]
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    folder = tmp_path / "reader"
    folder.mkdir()
    return Reader(folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_path_from_scans_to_a_model(reader: Reader) -> None:
    said = "".join(reader.follow(block) for block in blocks_of(PAGE.read_text(encoding="utf-8")))
    assert reader.run_id != RUN
    assert "12 patients, 12 volumes" in said
    assert re.search(r"Test Dice 0\.[1-9]", said)  # it learnt something
    assert "mine-v1" in said
    _check_what_was_made(reader.folder)


def _check_what_was_made(folder: Path) -> None:
    import nibabel
    import pydicom

    mask = np.asarray(nibabel.load(folder / "lesions.nii.gz").dataobj).transpose(2, 1, 0)
    assert mask.shape == (12, 128, 128)
    assert pydicom.dcmread(folder / "lesions.dcm").Modality == "SEG"
    found = json.loads((folder / "lesions.json").read_text())
    assert found["lesions"]
    elsewhere = np.load(folder / "elsewhere.npy")
    assert elsewhere.shape == mask.shape
    assert (elsewhere & (mask > 0)).sum() > 0.5 * (mask > 0).sum()  # another threshold, no mirror images
    for name in ("mine-sheet.png", "split.json", "report.html", "why.png", "tuned.json", "hub/mine-v1/README.md"):
        assert (folder / name).is_file(), name


def test_the_page_has_what_its_test_relies_on() -> None:
    blocks = blocks_of(PAGE.read_text(encoding="utf-8"))
    commands = [line for language, body in blocks if language == "bash" for line in body.splitlines()]
    assert all(re.match(r"(lungzoo|pip install) ", line) for line in commands)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (install,) = [line for line in commands if line.startswith("pip")]
    assert set(re.findall(r"\w+", install.partition("[")[2])) <= set(extras)
    (suite,) = [body for language, body in blocks if language == "toml"]
    assert parse(SuiteConfig, tomllib.loads(suite), "mine.toml").name == "mine"
    codes = [body for language, body in blocks if language == "python"]
    assert ["lungzoo" in code for code in codes] == [True, False, True]
    for code in codes:
        compile(code, str(PAGE), "exec")


def test_a_wrong_command_fails(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="No dataset folder at data/mine"):
        reader.follow(("bash", "lungzoo data show data/mine\nlungzoo --help\n"))
    with pytest.raises(AssertionError, match="import of lungzoo halted"):
        reader.follow(("python", "import importlib\n\nimportlib.import_module('lung' + 'zoo')\n"))


def test_the_run_on_the_page_becomes_the_one_that_was_trained(reader: Reader) -> None:
    reader.follow(("bash", "echo 'Start another run from it with: --transfer run:0a1b2c3d4e-finetune'\n"))
    assert reader.follow(("bash", f"echo use run:{RUN}\n")) == "use run:0a1b2c\n"
