"""Reads one pickle in a process of its own, which has little memory, little time and nothing to reach.

Run by `table.py`: the pickle is standard input, and the answer goes to standard output: the bytes that had to be
decoded, then JSON, then the JSON's length as eight bytes. Neither has a name on the disk.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from lungzoo.data.confined import allow_cpu, confine
from lungzoo.data.pickles.allowed import Refused
from lungzoo.data.pickles.frame import TableBuilder
from lungzoo.data.pickles.machine import Machine
from lungzoo.data.pickles.stream import Stream

MAX_MEMORY_BYTES = 2**30
MAX_CPU_S = 300
MAX_FACTS_BYTES = 32 * 2**20
_FORBIDDEN = ("open", "import", "exec", "compile", "marshal.loads", "pickle.find_class", "code.__new__")
_FORBIDDEN_ROOMS = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "tempfile.", "glob.", "urllib.", "pty.")


def main() -> None:
    """Answer on standard output what the pickle on standard input holds."""
    with os.fdopen(0, "rb", closefd=False) as source, os.fdopen(1, "w+b", closefd=False) as answer:
        stream = Stream(source)
        confine(MAX_MEMORY_BYTES, stream.size_bytes + 2 * MAX_FACTS_BYTES)
        allow_cpu(MAX_CPU_S)
        sys.addaudithook(_forbid)
        text = _answer(stream, answer)
        answer.seek(0, os.SEEK_END)
        answer.write(text)
        answer.write(len(text).to_bytes(8, "little"))


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    """Stop what reading a pickle has no need of; the stand-ins cannot ask for it, so this is a second wall."""
    if event in _FORBIDDEN or event.startswith(_FORBIDDEN_ROOMS):
        raise RuntimeError(f"the process that reads a pickle tried to {event}")


def _answer(stream: Stream, answer: Any) -> bytes:
    words = f"needs more than the {MAX_MEMORY_BYTES // 2**20} MiB of memory allowed for reading it"
    try:
        return _described(stream, answer)
    except Refused as refused:
        words = str(refused)
    except MemoryError:
        pass  # what filled the memory goes with the error, so the words wait until after it
    return json.dumps({"refused": words}).encode()


def _described(stream: Stream, answer: Any) -> bytes:
    machine = Machine(stream, answer)
    facts = json.dumps(TableBuilder(machine, stream.size_bytes).describe(machine.run())).encode()
    if len(facts) > MAX_FACTS_BYTES:
        raise Refused(f"has more than {MAX_FACTS_BYTES:,} bytes of text and numbers beside its arrays")
    return facts


if __name__ == "__main__":
    main()
