"""What do the DICOM readers do with damaged files?

Damages one file of a small sound source at a time (bits, lengths, VRs, tags, numbers, cuts, nested sequences), reads
the source, and counts what came of it. Anything but a sound result or a DatasetError is a failure, and so is a read of
more than five seconds:

    python benchmarks/robustness/dicom.py --count 5000
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from lungzoo.data.readers import ScanReader
from lungzoo.data.readers.dicom_seg import DicomSegReader
from lungzoo.data.readers.lidc_idri import LidcIdriReader
from lungzoo.data.readers.nsclc_radiomics import NsclcRadiomicsReader
from lungzoo.errors import DatasetError

LIMIT_S = 5.0
HEIGHTS = (100.0, 102.0, 104.0, 106.0)
SIDE_PX = 16
LENGTHS = (0, 1, 3, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (b"NaN", b"-1", b"0", b"1e308", b"-inf", b"9" * 12, b"", b"abc", b"1\\2")
VRS = tuple(b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT".split())


class Hang(BaseException):
    """A read took longer than the limit; no `except Exception` holds it up."""


@dataclass
class Outcomes:
    """What came of it: counts by outcome, failures, the slowest read in seconds, growth of memory in MiB."""

    counts: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    growth_mib: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    outcomes = run(arguments.count, arguments.seed)
    print(f"{arguments.count} damaged files, seed {arguments.seed}, {time.perf_counter() - start:.0f} s")
    for outcome, count in outcomes.counts.most_common():
        print(f"  {count:6}  {outcome}")
    print("By kind of damage:")
    for kind, counts in sorted(outcomes.by_kind.items()):
        print(f"  {kind:14} " + ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common()))
    print("Most frequent reasons:")
    for reason, count in outcomes.reasons.most_common(15):
        print(f"  {count:6}  {reason}")
    print(f"Slowest {outcomes.slowest_s:.2f} s ({outcomes.slowest}); memory grew by {outcomes.growth_mib:.0f} MiB")
    for failure in outcomes.failures[:20]:
        print(f"FAILURE {failure}")
    return bool(outcomes.failures)


def run(count: int, seed: int) -> Outcomes:
    """Damage `count` files, the same for the same seed."""
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as folder, _limit_works():
        sources = make_sources(Path(folder))
        for source in sources:
            assert _attempt(source[0], source[1]) == "read", f"the sound source {source[1].name} does not read"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            _one(outcomes, sources, np.random.default_rng([seed, number]), number)
        outcomes.growth_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return outcomes


def _one(
    outcomes: Outcomes, sources: list[tuple[type[ScanReader], Path]], rng: np.random.Generator, number: int
) -> None:
    reader, folder = sources[number % len(sources)]
    path = _choose(rng, sorted(folder.iterdir()))
    sound = path.read_bytes()
    kind = _choose(rng, sorted(DAMAGE))
    damaged = sound
    for _ in range(int(rng.integers(1, 4))):
        damaged = DAMAGE[kind](damaged, rng)
    path.write_bytes(damaged)
    start = time.perf_counter()
    try:
        outcome = _attempt(reader, folder)
    finally:
        path.write_bytes(sound)
    took_s = time.perf_counter() - start
    name = f"number {number}: {kind} of {folder.name}/{path.name}"
    if took_s > outcomes.slowest_s:
        outcomes.slowest_s, outcomes.slowest = took_s, name
    short = outcome.partition(":")[0]
    if short not in ("read", "refused"):
        outcomes.failures.append(f"{name}: {outcome}")
    elif short == "refused":
        outcomes.reasons[_without_numbers(outcome)] += 1
    outcomes.counts[short] += 1
    outcomes.by_kind.setdefault(kind, Counter())[short] += 1


def _attempt(reader: type[ScanReader], folder: Path) -> str:
    """Read a source; return "read", "refused: reason" or what else happened."""
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            slices = list(reader(folder))
        return "read" if slices and all(map(_is_sound, slices)) else "unsound result"
    except DatasetError as error:
        return f"refused: {error}"
    except Hang:
        return f"took more than {LIMIT_S:g} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_sound(item) -> bool:
    image, mask = item.image, item.mask
    in_range = image.dtype == np.int16 and image.min() >= -1024 and image.max() <= 3071
    return in_range and mask.shape == image.shape and np.isfinite(item.volume.geometry.matrix).all()


@contextlib.contextmanager
def _limit_works() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Hang

    former = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, former)


def make_sources(folder: Path) -> list[tuple[type[ScanReader], Path]]:
    """Write one small sound source per reader, in different transfer syntaxes."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    write = _writer()
    hu = np.random.default_rng(0).integers(-1000, 1000, (len(HEIGHTS), SIDE_PX, SIDE_PX))
    square = np.array([(-9.75, -19.75), (-6.75, -19.75), (-6.75, -16.75), (-9.75, -16.75)])
    contours = [np.column_stack([square, np.full(4, z)]) for z in HEIGHTS[1:3]]
    mask = np.zeros(hu.shape)
    mask[1:3, 4:9, 5:11] = 1
    edge = [(3, 3), (4, 3), (5, 3), (6, 4), (6, 6), (5, 7), (3, 6), (3, 5)]
    nodule = {"malignancy": 4, "outlines": [(z, edge) for z in HEIGHTS[1:3]]}

    plans = folder / "ct-rtstruct"
    write.save_series(write.ct_series(hu, HEIGHTS), plans)
    write.save(write.structure_set({"Lung": contours, "GTV-1": contours}), plans / "rs.dcm")
    multi = folder / "enhanced-seg"
    write.save(write.enhanced_ct(hu, HEIGHTS), multi / "ct.dcm")
    write.save(write.segmentation({"Nodule": mask}, HEIGHTS), multi / "seg.dcm")
    share = folder / "implicit-fractional"
    for number, image in enumerate(write.ct_series(hu, HEIGHTS)):
        write.save(image, share / f"{number}.dcm", ImplicitVRLittleEndian)
    write.save(write.segmentation({"Nodule": mask}, HEIGHTS, fractional_maximum=100), share / "seg.dcm")
    lidc = folder / "packed-lidc"
    for number, image in enumerate(write.ct_series(hu, HEIGHTS)):
        path = write.save(image, lidc / f"{number}.dcm", DeflatedExplicitVRLittleEndian)
        if number % 2:
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.compress(RLELossless, generate_instance_uid=False)
            write.save(image, path, RLELossless)
    (lidc / "readings.xml").write_text(write.lidc_xml([[nodule], [nodule], []]))
    return [
        (NsclcRadiomicsReader, plans),
        (DicomSegReader, multi),
        (DicomSegReader, share),
        (LidcIdriReader, lidc),
    ]


def _writer() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tests" / "data" / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(len(changed))) if len(changed) else 0
        if changed:
            changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flip_header_bits(data: bytes, rng: np.random.Generator) -> bytes:
    return data[:128] + flip_bits(data[128:1200], rng) + data[1200:]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def change_length(data: bytes, rng: np.random.Generator) -> bytes:
    at = _element(data, rng)
    length = int(_choose(rng, [*LENGTHS, int(rng.integers(2**16)), int(rng.integers(2**32))]))
    if data[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"UR", b"OD", b"OF"):
        return data[: at + 8] + length.to_bytes(4, "little") + data[at + 12 :]
    return data[: at + 6] + (length & 0xFFFF).to_bytes(2, "little") + data[at + 8 :]


def swap_vr(data: bytes, rng: np.random.Generator) -> bytes:
    at = _element(data, rng)
    return data[: at + 4] + _choose(rng, VRS) + data[at + 6 :]


def change_tag(data: bytes, rng: np.random.Generator) -> bytes:
    at, other = _element(data, rng), _element(data, rng)
    return data[:at] + data[other : other + 4] + data[at + 4 :]


def move(data: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(_element(data, rng) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(_element(data, rng) for _ in range(2))
    return data[:b] + data[a:b] * int(rng.integers(1, 4)) + data[b:]


def blank(data: bytes, rng: np.random.Generator) -> bytes:
    at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 200))
    length = min(length, len(data) - at)
    return data[:at] + bytes([int(rng.choice([0, 255]))]) * length + data[at + length :]


def change_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace the value of an element by what no number should be, and its length with it."""
    at = _element(data, rng)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    value = _choose(rng, NUMBERS)
    value += b" " * (len(value) % 2)
    return data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + length :]


def change_integer(data: bytes, rng: np.random.Generator) -> bytes:
    """Write a random number over the two bytes of an element, such as Rows."""
    at = _element(data, rng)
    value = int(_choose(rng, [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, int(rng.integers(2**16))]))
    return data[: at + 8] + value.to_bytes(2, "little") + data[at + 10 :]


def nest(data: bytes, rng: np.random.Generator) -> bytes:
    """Put sequences into each other, up to 300 deep."""
    body = b""
    for _ in range(int(rng.integers(1, 301))):
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + body + b"\xfe\xff\x0d\xe0\0\0\0\0"
        body = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = _element(data, rng)
    return data[:at] + body + data[at:]


def splice(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 50))) + data[at:]


DAMAGE = {
    "bits": flip_bits,
    "header bits": flip_header_bits,
    "cut": cut,
    "length": change_length,
    "VR": swap_vr,
    "tag": change_tag,
    "order": move,
    "repeated": repeat,
    "blank": blank,
    "number": change_number,
    "integer": change_integer,
    "nesting": nest,
    "inserted": splice,
}


def _element(data: bytes, rng: np.random.Generator) -> int:
    """Return a place where an element with an explicit VR seems to start; anywhere, if none does."""
    places = [
        at
        for vr in VRS
        for at in _places(data, vr)
        if at >= 4 and data[at - 4 : at - 3] in (b"\x02", b"\x08", b"\x10", b"\x18", b"\x20", b"\x28", b"\x06", b"\x62")
    ]
    if places:
        return int(_choose(rng, sorted(places))) - 4
    return int(rng.integers(max(len(data) - 12, 1)))


def _places(data: bytes, text: bytes) -> Iterator[int]:
    at = data.find(text)
    while at >= 0:
        yield at
        at = data.find(text, at + 1)


def _choose(rng: np.random.Generator, choices):
    return choices[int(rng.integers(len(choices)))]


def _without_numbers(outcome: str) -> str:
    line = outcome.strip().splitlines()[-1].strip()
    words = line.split(": ", 1)[-1]
    return "".join("#" if char.isdigit() else char for char in words)[:70].replace("##", "#")


if __name__ == "__main__":
    sys.exit(main())
