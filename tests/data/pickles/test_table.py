"""Pickled frames come back as pandas would have read them; sizes are checked before anything is allocated."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lungzoo.data.pickles import frame as frame_module
from lungzoo.data.pickles import machine as machine_module
from lungzoo.data.pickles import process
from lungzoo.data.pickles.allowed import Refused
from lungzoo.data.pickles.frame import len_of_range
from lungzoo.data.pickles.stream import Stream
from lungzoo.data.pickles.table import Other, PickledTable, PickleRefused, StoredArray
from lungzoo.errors import DatasetError, UsageError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes) -> PickledTable:
        path = tmp_path / "rows.pkl"
        path.write_bytes(content)
        return PickledTable(path.open("rb"), "rows.pkl")

    return read_bytes


def mixed() -> pd.DataFrame:
    """Arrays as they occur in the published set, and a few that numpy stores differently."""
    grid = np.arange(12, dtype=np.float64).reshape(3, 4) - 1024
    arrays = [
        grid,
        grid.astype(">i2"),
        np.asfortranarray(grid),
        grid[::2, ::-1],
        grid.astype(np.float32)[None],
        (grid > -1020)[:, :, None],
        grid.astype(np.float16),
        np.zeros((0, 4), np.uint8),
    ]
    frame = pd.DataFrame({"label1": [f"LR{n}" for n in range(len(arrays))]})
    frame["array"] = pd.Series(arrays, dtype=object)
    frame["thickness"] = np.linspace(1, 2, len(arrays))
    frame["note"] = pd.Series([None, 1.5, 3, "é\n\\", True, (1, 2), [1], np.float64(2)], dtype=object)
    return frame


def assert_same(table: PickledTable, frame: pd.DataFrame) -> None:
    assert (table.rows, list(table.columns)) == (len(frame), list(frame.columns))
    for column in frame.columns:
        for got, expected in zip(table.columns[column], frame[column], strict=True):
            if isinstance(expected, np.ndarray):
                assert isinstance(got, StoredArray)
                array = got.read()
                assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
                np.testing.assert_array_equal(array, expected)
            elif isinstance(expected, str):
                assert got == expected
            else:
                assert isinstance(got, Other)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol, read):
    assert_same(read(pickle.dumps(mixed(), protocol)), mixed())


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_bytes_beyond_the_short_ones(protocol, read):
    """An array of 128 KiB is text of several hundred KiB in the first protocols."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 512), dtype=np.uint8)
    frame = pd.DataFrame({"a": pd.Series([noise, noise.T], dtype=object)})
    assert_same(read(pickle.dumps(frame, protocol)), frame)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.sample(frac=1, random_state=0),
        lambda frame: frame.set_index(pd.Index([f"p{n}" for n in range(8)])),
        lambda frame: frame[["array", "label1"]],
        lambda frame: frame.assign(label1=pd.Series(frame["label1"].tolist(), dtype=object)),
        lambda frame: frame.iloc[2:7:2],
        lambda frame: frame.iloc[:0],
    ],
)
def test_other_indexes_and_blocks(change, read):
    assert_same(read(pickle.dumps(change(mixed()))), change(mixed()))


@pytest.mark.parametrize("protocol", range(6))
def test_text_without_arrow(protocol, read):
    with pd.option_context("mode.string_storage", "python"):
        frame = mixed()
        assert_same(read(pickle.dumps(frame, protocol)), frame)


def test_what_a_cell_is_called(read):
    notes = read(pickle.dumps(mixed())).columns["note"]
    assert [note.what if isinstance(note, Other) else note for note in notes] == [
        *("None", "float 1.5", "int 3", "é\n\\", "bool True", "a tuple", "a list", "a scalar")
    ]


def test_a_shared_array_is_kept_once(read):
    same = np.ones((4, 4), np.int8)
    first, second = read(pickle.dumps(pd.DataFrame({"a": [same, same]}))).columns["a"]
    assert first is second


def test_a_file_that_shrinks(tmp_path):
    path = tmp_path / "rows.pkl"
    path.write_bytes(pickle.dumps(mixed()))
    table = PickledTable(path.open("rb"), "rows.pkl")
    os.truncate(path, 100)
    with pytest.raises(DatasetError, match="the file became shorter while it was read"):
        table.columns["array"][0].read()


class TestRefused:
    def words(self, content: bytes, read) -> str:
        with pytest.raises(PickleRefused) as caught:
            read(content)
        assert isinstance(caught.value, UsageError)
        return str(caught.value)

    def test_message(self, read):
        assert self.words(b"cos\nsystem\n.", read) == (
            "rows.pkl asks for os.system, which is not on the list of what a pickled table of arrays needs. Nothing of "
            "it was run. Expected a pandas DataFrame of text and numpy arrays, as pandas 1.0 or later writes it."
        )

    def test_categories(self, read):
        frame = pd.DataFrame({"label1": pd.Categorical(["LR2"])})
        assert "asks for pandas.Categorical, which is not on the list" in self.words(pickle.dumps(frame), read)

    def test_size_is_that_of_the_bytes(self, read):
        content = pickle.dumps(pd.DataFrame({"a": [np.zeros((4, 7), np.int8)]}), 4)
        grown = content.replace(b"K\x04K\x07\x86", b"K\x04K\x08\x86")
        assert "has an array of shape 4×8 and type |i1, 32 bytes, where 28 bytes are there" in self.words(grown, read)

    def test_an_array_of_objects_in_a_cell(self, read):
        frame = pd.DataFrame({"a": pd.Series([np.array([None, "x"], object)], dtype=object)})
        assert "has a cell that is an array of objects" in self.words(pickle.dumps(frame), read)

    def test_a_type_with_parts(self, read):
        frame = pd.DataFrame({"a": pd.Series([np.zeros(2, [("x", "i4")])], dtype=object)})
        assert "has an array of a type with parts" in self.words(pickle.dumps(frame), read)

    def test_text_arrays(self, read):
        frame = pd.DataFrame({"a": pd.Series([np.array(["x"])], dtype=object)})
        assert "has an array of type U1; allowed: b1, i1" in self.words(pickle.dumps(frame), read)

    def test_the_same_column_twice(self, read):
        frame = pd.DataFrame([["x", "y"]], columns=["a", "a"])
        assert "has 2 columns, of which 1 occur twice" in self.words(pickle.dumps(frame), read)

    def test_columns_that_are_numbers(self, read):
        assert "that are no list of text" in self.words(pickle.dumps(pd.DataFrame([["x"]], columns=[3])), read)

    @pytest.mark.parametrize("keep", range(20, 1500, 97))
    def test_cut_off(self, keep, read):
        content = pickle.dumps(mixed())
        assert "Nothing of it was run" in self.words(content[:keep], read)

    def test_a_small_file_does_not_stand_for_a_huge_table(self, read, monkeypatch):
        monkeypatch.setattr(frame_module, "FREE_BYTES", 0)
        same = np.ones((64, 64), np.int8)
        content = pickle.dumps(pd.DataFrame({"a": pd.Series([same] * 50, dtype=object)}))
        source = machine_module.Machine(Stream(BytesIO(content)), BytesIO())
        with pytest.raises(Refused, match="repeats the same arrays until the table is many times larger"):
            frame_module.TableBuilder(source, len(content)).describe(source.run())

    def test_too_many_steps(self, read):
        words = self.words(b"\x80\x02" + b"N0" * (machine_module.MAX_OPCODES // 2) + b"N.", read)
        assert "has more than 5,000,000 steps" in words


def test_memory_is_bounded(tmp_path):
    """Four million dictionaries want 256 MiB; the process is given 160."""
    (tmp_path / "rows.pkl").write_bytes(b"\x80\x02" + b"}" * 4_000_000 + b".")
    code = "from lungzoo.data.pickles import process; process.MAX_MEMORY_BYTES = 160 * 2**20; process.main()"
    with (tmp_path / "rows.pkl").open("rb") as source, (tmp_path / "answer").open("w+b") as answer:
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=source,
            stdout=answer,
            check=True,
        )
    assert b"needs more than the 160 MiB of memory allowed for reading it" in (tmp_path / "answer").read_bytes()


CLAIM = """
import resource, sys, time
from lungzoo.data.pickles.table import PickledTable
from lungzoo.errors import DatasetError
began = time.monotonic()
try:
    PickledTable(open(sys.argv[1], "rb"), "rows.pkl")
except DatasetError as error:
    print(type(error).__name__, error)
# Not ru_maxrss of itself, which begins with the size of the process that started this one.
own = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
peaks = [kib // 1024 for kib in (own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)]
print(time.monotonic() - began, *peaks)
"""


@pytest.mark.parametrize("form", ["bytes", "shape", "frombuffer"])
def test_a_claim_of_64_gib(form, tmp_path):
    """Refused in seconds; the peak of the parent stays below 300 MB, and so does the child's."""
    array = np.zeros((4, 7), np.int8)
    protocol = 4 if form != "frombuffer" else 5
    content = pickle.dumps(pd.DataFrame({"a": pd.Series([array], dtype=object)}), protocol)
    if form == "bytes":
        content = content.replace(b"C\x1c", b"\x8e" + struct.pack("<Q", 2**36))
    else:
        content = content.replace(b"K\x04K\x07\x86", b"\x8a\x05" + struct.pack("<Q", 2**36)[:5] + b"K\x01\x86")
    (tmp_path / "rows.pkl").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", CLAIM, str(tmp_path / "rows.pkl")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    words, figures = done.stdout.splitlines()
    assert words.startswith("PickleRefused rows.pkl ")
    assert "68,719,476,736 bytes" in words
    seconds, parent_mib, child_mib = map(float, figures.split())
    assert seconds < 5
    assert parent_mib < 286
    assert child_mib < 286


def test_time_is_bounded(tmp_path, monkeypatch):
    """A child that ends by the signal of its limit is an error with a reason."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -XCPU $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    (tmp_path / "rows.pkl").write_bytes(b"N.")
    with pytest.raises(PickleRefused, match=r"reading it took more than was allowed \(SIGXCPU\)"):
        PickledTable((tmp_path / "rows.pkl").open("rb"), "rows.pkl")


def test_changed_bytes_never_crash():
    """Whatever a few changed, lost or doubled bytes make of a pickle, it is read or refused."""
    rng = random.Random(0)
    small = mixed().drop(columns="note")
    contents = [pickle.dumps(small, protocol) for protocol in range(6)]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(600):
        content = bytearray(rng.choice(contents))
        for _ in range(rng.choice([1, 2, 4])):
            place = rng.randrange(len(content))
            if rng.random() < 0.6:
                content[place] = rng.randrange(256)
            else:
                content[place : place + rng.randrange(9)] = content[: rng.randrange(9)]
        try:
            machine = machine_module.Machine(Stream(BytesIO(content)), BytesIO())
            found = frame_module.TableBuilder(machine, len(content)).describe(machine.run())
            assert all(len(cells) == found["rows"] for cells in found["columns"].values())
            outcomes["read"] += 1
        except Refused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def test_the_process_loads_nothing_heavy():
    code = (
        "import sys, lungzoo.data.pickles.process; print([n for n in ('numpy', 'pandas', 'keras') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_the_second_wall():
    """What the audit hook forbids, in a process of its own: a hook cannot be taken back."""
    code = """
import os, sys
from lungzoo.data.pickles import process
sys.addaudithook(process._forbid)
for act in (lambda: open("x", "w"), lambda: os.system("true"), lambda: __import__("this"), lambda: eval("1")):
    try:
        act()
    except RuntimeError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    ended = [line.rpartition(" ")[2] for line in done.stdout.splitlines()]
    assert ended == ["open", "os.system", "import", "compile"]


def test_a_process_that_dies_is_an_error(read, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PickleRefused, match=r"rows\.pkl could not be read: it ended with code 1"):
        read(pickle.dumps(mixed()))
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(PickleRefused, match="could not be read"):
        read(pickle.dumps(mixed()))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(DatasetError, match="Cannot start the process that reads rows"):
        read(pickle.dumps(mixed()))


def test_a_module_in_the_current_folder_is_not_found(read, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('found')")
    monkeypatch.chdir(tmp_path)
    assert read(pickle.dumps(mixed())).rows == 8


def test_limits():
    assert process.MAX_MEMORY_BYTES == 2**30


@pytest.mark.parametrize("ends", [(0, 4, 1), (0, 5, 2), (5, 0, -2), (4, 0, 1), (0, 0, 1), (-3, 3, 4), (3, -4, -3)])
def test_length_of_a_range(ends):
    assert len_of_range(*ends) == len(range(*ends))
