"""What happens to damaged HDF5 files?

Damages small sound files – flipped bits, cut ends, extreme numbers behind the marks of the format's structures, copied
and blanked stretches – and reads each as an import would. Every one has to be read or refused by a DatasetError within
5 s, though the C library behind it hangs on some and crashes on others, which is why the reader keeps it in a process
of its own. A crash or a hang of ours is a failure:

    python benchmarks/robustness/hdf5.py --count 2000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lungzoo.data.readers.hdf5 import Hdf5Reader
from lungzoo.errors import DatasetError

LIMIT_S = 5.0
MAX_MEMORY_BYTES = 8 * 2**30
OPTIONS = {"patients": "who", "labels": "labels", "volumes": "scan", "z": "z"}
MARKS = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"BTHD", b"BTLF", b"FRHP", b"FADB", b"FAHD", b"\x89HDF")
EXTREMES = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


@dataclass
class Outcomes:
    """What came of it: files by mutation and end, failures, the slowest read in seconds, growth of memory in MiB."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    growth_mib: float = 0.0


def sound_files() -> list[bytes]:
    """Return small files of slices, in the layouts, filters and versions of the format that importers meet."""
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (12, 16, 16)).astype(np.int16)
    layouts: list[tuple[dict[str, Any], str | tuple[str, str]]] = [
        ({}, "earliest"),
        ({"chunks": (4, 16, 16), "compression": "gzip"}, "earliest"),
        ({"chunks": (3, 8, 8), "compression": "lzf", "shuffle": True}, "earliest"),
        ({"chunks": (5, 16, 16), "fletcher32": True}, "earliest"),
        ({"chunks": (4, 16, 16), "scaleoffset": 0}, "earliest"),
        ({}, "latest"),
        ({"chunks": (4, 16, 16), "compression": "gzip", "shuffle": True}, "latest"),
        ({"chunks": (2, 8, 8), "maxshape": (None, 16, 16)}, "latest"),
    ]
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (how, version) in enumerate(layouts):
            path = Path(folder) / "sound.h5"
            with h5py.File(path, "w", libver=version) as file:
                images = hu if number % 2 else (hu - hu.min()) / np.float32(np.ptp(hu))
                file.create_dataset("images", data=images, **(how if images is hu else _without_scaling(how)))
                file.create_dataset("masks", data=(hu > 900).astype(np.uint8), **how)
                file["who"] = [f"patient {n}" for n in range(12)]
                file["scan"] = np.array([f"scan {n // 2}" for n in range(12)], "S8")
                file["labels"] = ["benign", "malignant"] * 6
                file["z"] = np.arange(12) % 2
                file.create_group("more").attrs["note"] = "n" * 50
            files.append(path.read_bytes())
    return files


def _without_scaling(how: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in how.items() if key != "scaleoffset"}


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip 1 to 8 bits."""
    out = bytearray(data)
    for place in rng.integers(0, len(out) * 8, rng.integers(1, 9)):
        out[place // 8] ^= 1 << (place % 8)
    return bytes(out)


def flip_structure_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip 1 to 4 bits in the 200 bytes behind a mark of the format."""
    start = _structure(data, rng)
    return data[:start] + flip_bits(data[start : start + 200], rng) + data[start + 200 :]


def set_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Write extreme numbers of 1 to 8 bytes behind the marks of structures."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        width = int(rng.choice([1, 2, 4, 8]))
        at = _structure(data, rng) + int(rng.integers(4, 200))
        if at + width <= len(out):
            value = EXTREMES[int(rng.integers(len(EXTREMES)))] % 2 ** (8 * width)
            out[at : at + width] = value.to_bytes(width, "little")
    return bytes(out)


def point_elsewhere(data: bytes, rng: np.random.Generator) -> bytes:
    """Let an address of the file, or what looks like one, lead to another place in it."""
    words = np.frombuffer(data[: len(data) // 8 * 8], "<u8")
    places = np.flatnonzero((words > 0) & (words < len(data)))
    at = int(rng.choice(places)) * 8
    target = _structure(data, rng) if rng.random() < 0.7 else int(rng.integers(len(data)))
    return data[:at] + target.to_bytes(8, "little") + data[at + 8 :]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def copy_part(data: bytes, rng: np.random.Generator) -> bytes:
    """Write a stretch of the file over another, from one structure to the next."""
    source, target, length = _structure(data, rng), _structure(data, rng), int(rng.integers(8, 400))
    part = data[source : source + length]
    return data[:target] + part + data[target + len(part) :]


def blank(data: bytes, rng: np.random.Generator) -> bytes:
    """Write zeros or ones over a stretch of a structure."""
    at, length = _structure(data, rng) + int(rng.integers(0, 64)), int(rng.integers(1, 100))
    return data[:at] + bytes([int(rng.choice([0, 255]))]) * length + data[at + length :]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:]


MUTATIONS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    *(flip_bits, flip_structure_bits, set_number, point_elsewhere, cut, copy_part, blank, insert),
)


def _structure(data: bytes, rng: np.random.Generator) -> int:
    mark = MARKS[int(rng.integers(len(MARKS)))]
    places, at = [], data.find(mark)
    while at >= 0:
        places.append(at)
        at = data.find(mark, at + 1)
    return int(rng.choice(places)) if places else int(rng.integers(len(data)))


def damaged(sound: list[bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Return the mutation of file `number`, and its bytes: the same in every run with the same seed."""
    rng = np.random.default_rng((seed, number))
    mutate = MUTATIONS[number % len(MUTATIONS)]
    return mutate.__name__, mutate(sound[int(rng.integers(len(sound)))], rng)


def read(path: Path) -> str:
    """Read a file as an import would; returns "read", "refused: why", or another error."""
    try:
        slices = list(Hdf5Reader(path, OPTIONS))
    except DatasetError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    sound = slices and all(item.image.shape == item.mask.shape and item.mask.max() <= 1 for item in slices)
    return "read" if sound else "unsound result"


class Worker:
    """A process that reads files whose numbers it is told, so that this one outlives whatever comes."""

    def __init__(self, seed: int) -> None:
        command = [sys.executable, __file__, "--work", "--seed", str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._answer(60)

    def read(self, number: int) -> tuple[str, float, float]:
        """Return what came of a file, the seconds it took, and the peak of memory so far in MiB."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % number)
        self._process.stdin.flush()
        return self._answer(LIMIT_S)

    def _answer(self, limit_s: float) -> tuple[str, float, float]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit_s)[0]:
            self.end()
            return "hang", limit_s, 0.0
        line = self._process.stdout.readline()
        if not line:
            return f"crash: process ended with {self._process.wait()}", 0.0, 0.0
        outcome, seconds, mib = json.loads(line)
        return outcome, seconds, mib

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def work(seed: int) -> None:
    """Read the files whose numbers come on standard input, and answer on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    sound = sound_files()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.h5"
        for data in sound:
            path.write_bytes(data)
            assert read(path) == "read", read(path)
        base_kib = _peak_kib()
        print(json.dumps(("ready", 0.0, 0.0)), file=answers, flush=True)
        for line in sys.stdin:
            path.write_bytes(damaged(sound, seed, int(line))[1])
            start = time.perf_counter()
            outcome = read(path)
            growth_kib = _peak_kib() - base_kib
            took_s = time.perf_counter() - start
            print(json.dumps((outcome, took_s, growth_kib / 1024)), file=answers, flush=True)


def _peak_kib() -> int:
    """Return the peak of memory of this process or of the largest that it started."""
    return max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def fuzz(count: int, seed: int = 0) -> Outcomes:
    """Read `count` damaged files."""
    outcomes, worker = Outcomes(), Worker(seed)
    for number in range(count):
        if not worker.is_alive:
            worker = Worker(seed)
        outcome, seconds, mib = worker.read(number)
        name = MUTATIONS[number % len(MUTATIONS)].__name__
        short = outcome.partition(":")[0]
        if short not in ("read", "refused"):
            outcomes.failures.append(f"file {number}, {name}: {outcome}")
        if short == "refused":
            outcomes.reasons[_without_numbers(outcome)] += 1
        outcomes.counts[name, short] += 1
        outcomes.slowest = max(outcomes.slowest, (seconds, f"file {number}, {name}, {short}"))
        outcomes.growth_mib = max(outcomes.growth_mib, mib)
    worker.end()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files to read")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.seed)
        return 0
    start = time.perf_counter()
    outcomes = fuzz(arguments.count, arguments.seed)
    print(f"{arguments.count} damaged files, seed {arguments.seed}, {time.perf_counter() - start:.0f} s")
    for (mutation, end), files in sorted(outcomes.counts.items()):
        print(f"{mutation:20} {end:12} {files:6}")
    print("Most frequent reasons:")
    for reason, files in outcomes.reasons.most_common(12):
        print(f"  {files:6}  {reason}")
    print(f"Slowest {outcomes.slowest[0]:.2f} s ({outcomes.slowest[1]}); memory grew by {outcomes.growth_mib:.0f} MiB")
    for failure in outcomes.failures[:20]:
        print(f"FAILURE {failure}")
    return bool(outcomes.failures)


def _without_numbers(outcome: str) -> str:
    words = outcome.strip().splitlines()[-1].split(": ", 1)[-1]
    return "".join("#" if char.isdigit() else char for char in words)[-80:]


if __name__ == "__main__":
    sys.exit(main())
