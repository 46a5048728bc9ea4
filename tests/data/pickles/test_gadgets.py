"""Pickles that try to act: none may, and each is refused by name.

Most would leave a marker file, change the environment, import a module or open a connection if the names in them were
called. A helper process reads them all; those that act under Python's own `pickle` are counted, so that the list stays
live.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lungzoo.data.pickles.allowed import ALLOWED
from lungzoo.data.pickles.table import PickledTable, PickleRefused
from lungzoo.data.readers.mendeley_lungrads import MendeleyLungRadsReader

from .gadgets import calls, opcodes, spellings

ROOT = Path(__file__).resolve().parents[3]


HELPER = """
import io, json, os, sys
from pathlib import Path
from lungzoo.data.pickles.allowed import Refused
from lungzoo.data.pickles.frame import TableBuilder
from lungzoo.data.pickles.machine import Machine
from lungzoo.data.pickles.stream import Stream
acted = []
def watch(event, args):
    if watching and event.partition(".")[0] in ("os", "subprocess", "socket", "exec", "import", "compile", "shutil"):
        acted.append(event)
watching = False
sys.addaudithook(watch)
environment, modules, outcomes = dict(os.environ), set(sys.modules), {}
for path in sorted(Path(sys.argv[1]).glob("*.pkl")):
    with path.open("rb") as file:
        watching = True
        try:
            machine = Machine(Stream(file), io.BytesIO())
            outcome = "ACCEPTED " + str(TableBuilder(machine, path.stat().st_size).describe(machine.run()))
        except Refused as refused:
            outcome = "refused: " + str(refused)
        except Exception as error:
            outcome = f"CRASHED {type(error).__name__}: {error}"
        watching = False
    outcomes[path.stem] = outcome
    del machine
changed = [key for key in {*environment, *os.environ} if environment.get(key) != os.environ.get(key)]
modules = sorted(set(sys.modules) - modules)
print(json.dumps({"outcomes": outcomes, "changed": changed, "modules": modules, "acted": acted}))
"""


@pytest.fixture(scope="module")
def gadgets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("gadgets")
    marker = str(folder / "marker")
    return folder, calls(marker) | spellings(marker) | opcodes(marker)


@pytest.fixture(scope="module")
def report(gadgets: tuple[Path, dict[str, bytes]]) -> dict:
    folder, made = gadgets
    (folder / "in").mkdir()
    for number, content in enumerate(made.values()):
        (folder / "in" / f"{number}.pkl").write_bytes(content)
    command = [sys.executable, "-W", "error", "-c", HELPER, str(folder / "in")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=folder / "in")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {**found, "outcomes": {name: found["outcomes"][str(n)] for n, name in enumerate(made)}}


def test_all_are_refused(report):
    assert len(report["outcomes"]) > 200
    assert {name: text for name, text in report["outcomes"].items() if not text.startswith("refused: ")} == {}


def test_none_acts(report, gadgets):
    folder, _ = gadgets
    assert sorted(path.name for path in folder.iterdir()) == ["in"]
    assert {path.suffix for path in (folder / "in").iterdir()} == {".pkl"}
    assert (report["changed"], report["modules"], report["acted"]) == ([], [], [])


def test_a_name_that_is_not_on_the_list_is_named(report, gadgets):
    for name in calls("x"):
        pair = name.rpartition("-")[0]
        outcome = report["outcomes"][name]
        words = (f"asks for {pair}, which is not on the list", f"calls {pair}", "makes bytes of int 68719476736")
        assert any(word in outcome for word in words), outcome


@pytest.mark.parametrize(
    ("gadget", "words"),
    [
        ("stack dotted", "asks for os.path.os.system, which is not on the list"),
        ("stack newline", r"asks for numpy\nos.system, which is not"),
        ("stack return", r"asks for numpy\r.ndarray"),
        ("names that are numbers", "names a global by something that is no text"),
        ("partial of os.system", "asks for os.system"),
        ("partial of an allowed name", "calls functools.partial with numpy.dtype"),
        ("BUILD twice", "sets the state of a frame"),
        ("BUILD of a name", "adds to numpy.ndarray as if it were an object"),
        ("setattr by SETITEM", "adds to a frame as if it were a dictionary"),
        ("REDUCE of a made thing", "calls a frame"),
        ("64 GiB of bytes", "claims 68,719,476,736 bytes at byte 11, where 2 are left"),
        ("PERSID", "uses PERSID (a persistent id) at byte 0"),
        ("unknown opcode", r"uses the unknown opcode b'\xff' at byte 0"),
        ("memo: unknown", "asks its memo for number 7, which was never put there"),
        ("frame within a frame", "begins a frame within another at byte 20"),
        ("bytes past the frame", "reaches over the end of a frame at byte 13"),
        ("more after the end", "goes on for 12 bytes after its end"),
        ("plain value", "holds a dict where a pandas frame is expected"),
        ("encode by another codec", "calls _codecs.encode for something other than bytes written as text"),
    ],
)
def test_words(gadget, words, report):
    assert words in report["outcomes"][gadget]


def test_the_gadgets_are_live(tmp_path):
    """Under Python's own pickle, dozens of them leave their marker."""
    acting = """
import os, pickle, sys, time
marker, acted = sys.argv[2], 0
for name in sorted(os.listdir(sys.argv[1])):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0); os.dup2(0, 1); os.dup2(0, 2)
        try:
            kept = pickle.loads(open(os.path.join(sys.argv[1], name), "rb").read())
            if hasattr(kept, "wait"): kept.wait()
        except BaseException:
            pass
        os._exit(0)
    os.waitpid(child, 0)
    for path in (marker, marker + ".npy", marker + ".zip", marker + ".dat"):
        if os.path.exists(path):
            acted += 1
            os.rmdir(path) if os.path.isdir(path) else os.remove(path)
            break
print(acted)
"""
    (tmp_path / "in").mkdir()
    marker = str(tmp_path / "marker")
    live = (
        "os.",
        "posix.",
        "subprocess.",
        "builtins.",
        "io.",
        "_io.",
        "codecs.",
        "pydoc.pipe",
        "runpy._",
    )
    live = (
        *live,
        "shutil.copy",
        "logging.",
        "sqlite3.",
        "zipfile.",
        "tarfile.",
        "uuid.",
        "stack os",
        "protocol",
        "eval at",
    )
    quiet = ("execv", "_exit", "breakpoint", "bytearray")
    for number, (name, content) in enumerate((calls(marker) | spellings(marker)).items()):
        if name.startswith(live) and not any(word in name for word in quiet):
            (tmp_path / "in" / f"{number}.pkl").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", acting, str(tmp_path / "in"), marker], capture_output=True, text=True, timeout=120
    )
    assert int(done.stdout) >= 35, done.stderr


def test_the_list_holds_nothing_that_acts():
    """Only stand-ins are made of these names, and none would do harm if it were called for real."""
    rooms = {module.partition(".")[0] for module, _ in ALLOWED}
    assert rooms == {
        "numpy",
        "pandas",
        "pyarrow",
        "functools",
        "builtins",
        "__builtin__",
        "copyreg",
        "copy_reg",
        "_codecs",
    }
    assert not any("." in name for _, name in ALLOWED)
    assert {name for module, name in ALLOWED if module == "functools"} == {"partial"}
    assert {name for module, name in ALLOWED if "builtin" in module} == {"slice", "object", "bytes", "bytearray"}


@pytest.mark.parametrize(
    "name", ["os.system-0", "builtins.eval-17", "stack dotted", "64 GiB of bytes", "INST", "nothing"]
)
def test_the_real_way_in(name, gadgets, tmp_path):
    _, made = gadgets
    path = tmp_path / "lung_cancer_train.pkl"
    path.write_bytes(made[name])
    with pytest.raises(PickleRefused, match=r"lung_cancer_train.pkl .*\. Nothing of it was run\."):
        MendeleyLungRadsReader(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_tower_is_refused_by_the_process_as_well(gadgets, tmp_path):
    (tmp_path / "x.pkl").write_bytes(gadgets[1]["a tower of tuples"])
    with pytest.raises(PickleRefused, match="holds a tuple where a pandas frame is expected"):
        PickledTable((tmp_path / "x.pkl").open("rb"), "x.pkl")
