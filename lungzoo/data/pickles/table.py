"""A pickled table, read by another process: its columns here, its arrays where they lie in the file."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from lungzoo.data.confined import command, environment, signal_name
from lungzoo.data.pickles.process import MAX_CPU_S, MAX_FACTS_BYTES
from lungzoo.errors import DatasetError

MAX_PICKLE_BYTES = 64 * 2**30


class PickleRefused(DatasetError):
    """A pickle that is damaged, or asks for something other than a table of arrays."""


@dataclass(frozen=True)
class StoredArray:
    """Where an array's bytes lie, and what they are."""

    file: BinaryIO
    offset: int
    size_bytes: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    def read(self) -> np.ndarray:
        """Return the array, read-only; raises DatasetError if the file has shrunk."""
        with _READING:
            self.file.seek(self.offset)
            data = self.file.read(self.size_bytes)
        if len(data) != self.size_bytes:
            raise DatasetError("the file became shorter while it was read")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


_READING = threading.Lock()


@dataclass(frozen=True)
class Other:
    """A cell that is neither text nor an array, in words."""

    what: str


class PickledTable:
    """A pickled pandas frame whose cells are text or arrays of numbers.

    Nothing that the pickle names is imported or called: see `allowed.py` and `machine.py`. Another process reads it,
    with bounds on memory and time, and arrays are read one at a time from where they lie.

    Args:
        file: the pickle, opened for reading; it is closed with the table.
        name: what messages call it.

    Attributes:
        rows: how many.
        columns: name -> cells.

    Raises:
        PickleRefused: it is damaged, too large, or asks for anything but a table of arrays.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        answer = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the table
        weakref.finalize(self, answer.close)
        weakref.finalize(self, file.close)
        size_bytes = file.seek(0, os.SEEK_END)
        if size_bytes > MAX_PICKLE_BYTES:
            raise PickleRefused(f"{name} is {size_bytes:,} bytes large, more than the {MAX_PICKLE_BYTES:,} allowed.")
        facts = _ask(file, answer, name)
        if "refused" in facts:
            raise PickleRefused(
                f"{name} {facts['refused']}. Nothing of it was run. Expected a pandas DataFrame of text and numpy "
                "arrays, as pandas 1.0 or later writes it."
            )
        self.rows = int(facts["rows"])
        arrays = [_stored(answer if entry[0] else file, *entry[1:]) for entry in facts["arrays"]]
        self.columns: dict[str, list[str | StoredArray | Other]] = {
            column: [_cell(kind, value, arrays) for kind, value in cells] for column, cells in facts["columns"].items()
        }


def _stored(file: BinaryIO, offset: int, size: int, dtype: str, shape: list[int], fortran: bool) -> StoredArray:
    return StoredArray(file, offset, size, np.dtype(dtype), tuple(shape), fortran)


def _cell(kind: str, value: Any, arrays: list[StoredArray]) -> str | StoredArray | Other:
    if kind == "array":
        return arrays[value]
    return str(value) if kind == "text" else Other(str(value))


def _ask(file: BinaryIO, answer: BinaryIO, name: str) -> dict[str, Any]:
    """Let another process read the pickle and return its answer."""
    file.seek(0)
    try:
        done = subprocess.run(
            command("lungzoo.data.pickles.process"),
            stdin=file,
            stdout=answer,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=2 * MAX_CPU_S,
        )
    except subprocess.TimeoutExpired:
        raise PickleRefused(f"{name} takes more than {2 * MAX_CPU_S} s to read. Nothing of it was run.") from None
    except OSError as error:
        raise DatasetError(f"Cannot start the process that reads {name}: {error}.") from None
    facts = _answered(answer) if done.returncode == 0 else None
    if facts is None:
        raise PickleRefused(f"{name} could not be read: {_why(done)}. Nothing of it was run.")
    return facts


def _why(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"reading it took more than was allowed ({signal_name(done.returncode)})"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"it ended with code {done.returncode}"


def _answered(answer: BinaryIO) -> dict[str, Any] | None:
    end = answer.seek(0, os.SEEK_END) - 8
    if end < 0:
        return None
    answer.seek(end)
    length = int.from_bytes(answer.read(8), "little")
    if not 0 < length <= min(end, MAX_FACTS_BYTES):
        return None
    answer.seek(end - length)
    facts = json.loads(answer.read(length))
    return facts if isinstance(facts, dict) else None
