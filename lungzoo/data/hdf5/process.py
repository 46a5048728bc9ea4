"""Reads one HDF5 file in a process of its own; `remote.py` asks.

A question is a line of JSON on standard input. The answer is a line of JSON on standard output, followed by the bytes
of the arrays that it announces.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungzoo.data.confined import allow_cpu, confine
from lungzoo.data.hdf5.file import blocks, find_dataset, open_hdf5, texts
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    import h5py

MAX_MEMORY_BYTES = 4 * 2**30
MAX_CPU_S = 60
_LEAST_CPU_S = 2
_BYTES_A_SECOND = 20 * 2**20

Answer = tuple[dict[str, Any], tuple[np.ndarray, ...]]


def cpu_s(file_bytes: int) -> int:
    """Return the seconds of processor time that one question may take: more for a larger file, up to a minute."""
    return min(_LEAST_CPU_S + file_bytes // _BYTES_A_SECOND, MAX_CPU_S)


def main() -> None:
    """Answer questions about the file that the command line names, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one who asks, and with that the questions
    path = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print is no answer
    # Imported before the limits, since libraries start threads.
    import h5py  # noqa: F401

    confine(MAX_MEMORY_BYTES, file_bytes=0)
    seconds = cpu_s(path.stat().st_size)
    allow_cpu(seconds)
    host = _Host(path)
    _send(answers, *_tried(host.open))
    for line in sys.stdin:
        allow_cpu(seconds)
        question = json.loads(line)
        _send(answers, *_tried(lambda question=question: host.answer(question)))


class _Host:
    """Knows the answers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: h5py.File
        self._blocks: Iterator[tuple[Any, ...]] = iter(())

    def open(self) -> Answer:
        self._file = open_hdf5(self._path)
        return {}, ()

    def answer(self, question: dict[str, Any]) -> Answer:
        do = question["do"]
        if do == "next":
            return self._next()
        found = [find_dataset(self._file, name) for name in question["names"]]
        if do == "blocks":
            self._blocks = blocks(*found)
            return {}, ()
        if do == "texts":
            return {"texts": texts(found[0])}, ()
        dataset = found[0]
        return {"name": dataset.name, "shape": dataset.shape, "dtype": dataset.dtype.str}, ()

    def _next(self) -> Answer:
        try:
            start, *rows = next(self._blocks)
        except StopIteration:
            return {"start": None}, ()
        return {"start": start}, tuple(rows)


def _tried(work: Any) -> Answer:
    try:
        answer: Answer = work()
        return answer
    except DatasetError as error:
        return {"refused": str(error)}, ()
    except MemoryError:
        return {"refused": f"needs more than the {MAX_MEMORY_BYTES // 2**20:,} MiB allowed for reading it"}, ()


def _send(answers: BinaryIO, says: dict[str, Any], arrays: tuple[np.ndarray, ...]) -> None:
    announced = [[array.dtype.str, array.shape] for array in arrays]
    answers.write(json.dumps({**says, "arrays": announced}).encode() + b"\n")
    for array in arrays:
        answers.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    answers.flush()


if __name__ == "__main__":
    main()
