"""What happens to damaged NIfTI files?

Mutates small sound files – flipped bits, cut ends, header fields of extreme values, damaged compression, absurd sizes –
and reads each as an import would. Every one has to be read or refused by a DatasetError, within 5 s of the processor
and a bounded amount of memory. Prints how many came to which end, and the slowest:

    python benchmarks/robustness/nifti.py --count 5000
"""

from __future__ import annotations

import argparse
import gzip
import io
import resource
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import nibabel
import numpy as np

from lungzoo.data.files.nifti import read_nifti
from lungzoo.data.files.volume import turn
from lungzoo.errors import DatasetError

LIMIT_S = 5.0
# Name, offset, format and how many of the fields of a NIfTI-1 header that decide what is read.
FIELDS = (
    *(("sizeof_hdr", 0, "i", 1), ("dim", 40, "h", 8), ("datatype", 70, "h", 1), ("bitpix", 72, "h", 1)),
    *(("pixdim", 76, "f", 8), ("vox_offset", 108, "f", 1), ("scl_slope", 112, "f", 1), ("scl_inter", 116, "f", 1)),
    *(("xyzt_units", 123, "B", 1), ("qform_code", 252, "h", 1), ("sform_code", 254, "h", 1)),
    *(("quatern", 256, "f", 3), ("qoffset", 268, "f", 3), ("srow", 280, "f", 12)),
)
WHOLE = (-32768, -1, 0, 1, 2, 3, 7, 8, 255, 1024, 4096, 32767)
REAL = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, -1.0, -3.0, 1e-30, 1e-3, 0.5, 1.5, 352.0, 1e6, 1e30, 3e38)


@dataclass
class Outcome:
    """How a run went.

    Args:
        counts: files by mutation and end: "read", "refused", or the name of what should not have been raised.
        slowest: (seconds of the processor, number and mutation of the file).
        strange: number and error of each file that was neither read nor refused.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    strange: list[str] = field(default_factory=list)


def sound_files() -> list[bytes]:
    """Return small volumes in HU, as .nii and .nii.gz, of both versions, byte orders and several types."""
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (12, 11, 10))
    affine = np.array([[-0.7, 0, 0, 90], [0, -0.7, 0, 80], [0, 0, 2.5, -300], [0, 0, 0, 1]])
    plain = [
        nibabel.Nifti1Image(hu.astype(np.int16), affine).to_bytes(),
        nibabel.Nifti1Image(hu.astype(np.float32), affine).to_bytes(),
        nibabel.Nifti1Image(hu.astype(">i2"), affine, nibabel.Nifti1Header(endianness=">")).to_bytes(),
        nibabel.Nifti2Image(hu.astype(np.int16), affine).to_bytes(),
    ]
    return plain + [gzip.compress(data, 6, mtime=0) for data in plain[:2]]


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip 1 to 8 bits, half of the time in the header."""
    out = bytearray(data)
    end = min(len(out), 352) if rng.random() < 0.5 else len(out)
    for place in rng.integers(0, end * 8, rng.integers(1, 9)):
        out[place // 8] ^= 1 << (place % 8)
    return bytes(out)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut the end off, or put something there."""
    if rng.random() < 0.3:
        return data + rng.bytes(int(rng.integers(1, 4096)))
    return data[: rng.integers(0, len(data))]


def set_field(data: bytes, rng: np.random.Generator) -> bytes:
    """Give a header field an extreme value; a compressed file is packed again."""
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(set_field(gzip.decompress(data), rng), 1, mtime=0)
    out = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        _, offset, kind, count = FIELDS[rng.integers(len(FIELDS))]
        value = rng.choice(REAL) if kind == "f" else int(rng.choice(WHOLE))
        value = value % 256 if kind == "B" else value
        order = ">" if data[:4] == b"\0\0\1\x5c" else "<"
        struct.pack_into(order + kind, out, offset + int(rng.integers(count)) * struct.calcsize(kind), value)
    return bytes(out)


def claim_much(data: bytes, rng: np.random.Generator) -> bytes:
    """Claim a huge volume in the header; a compressed file is packed again."""
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(claim_much(gzip.decompress(data), rng), 1, mtime=0)
    out = bytearray(data)
    order = ">" if data[:4] == b"\0\0\1\x5c" else "<"
    if data[:4] == struct.pack("<i", 540):
        struct.pack_into("<8q", out, 16, 3, *(int(side) for side in rng.integers(1, 2**62, 3)), 1, 1, 1, 1)
    else:
        struct.pack_into(order + "8h", out, 40, 3, *(int(side) for side in rng.integers(1, 32767, 3)), 1, 1, 1, 1)
    return bytes(out)


def spoil_gzip(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a compressed stream, or claim a few hundred MiB and send zeros."""
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 6, mtime=0)
    if rng.random() < 0.02:
        header = bytearray(gzip.decompress(packed)[:352])
        struct.pack_into("<8h", header, 40, 3, 512, 512, 400, 1, 1, 1, 1)
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as file:
            file.write(header)
            for _ in range(40):
                file.write(bytes(5 * 2**20))
        return stream.getvalue()
    out = bytearray(packed)
    for place in rng.integers(0, len(out), rng.integers(1, 5)):
        out[place] = rng.integers(256)
    return bytes(out)


MUTATIONS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    flip_bits,
    cut,
    set_field,
    claim_much,
    spoil_gzip,
)


def read(data: bytes) -> str:
    """Read a file as an import would; returns "read", "refused", or the name of another error."""
    try:
        turned = turn("volume", read_nifti(io.BytesIO(data)), None)
    except DatasetError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read" if turned.image.shape == turned.info.shape_zyx else "another shape"


def fuzz(count: int, seed: int = 0) -> Outcome:
    """Read `count` damaged files; file n is the same in every run with the same seed."""
    sound, outcome = sound_files(), Outcome()
    for n in range(count):
        rng = np.random.default_rng((seed, n))
        mutate = MUTATIONS[n % len(MUTATIONS)]
        data = mutate(sound[int(rng.integers(len(sound)))], rng)
        start = time.process_time()
        end = read(data)
        seconds = time.process_time() - start
        if end not in ("read", "refused"):
            outcome.strange.append(f"file {n}, {mutate.__name__}: {end}")
            end = end.partition(":")[0]
        outcome.counts[mutate.__name__, end] += 1
        outcome.slowest = max(outcome.slowest, (seconds, f"file {n}, {mutate.__name__}, {end}"))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="files to read")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    arguments = parser.parse_args()
    start = time.perf_counter()
    outcome = fuzz(arguments.count, arguments.seed)
    for (mutation, end), files in sorted(outcome.counts.items()):
        print(f"{mutation:12} {end:12} {files:6}")
    print(f"slowest      {outcome.slowest[0]:.3f} s  ({outcome.slowest[1]}); allowed {LIMIT_S:g} s")
    print(f"memory       {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")
    print(f"in all       {time.perf_counter() - start:.1f} s, {len(outcome.strange)} neither read nor refused")
    for line in outcome.strange[:20]:
        print(f"  {line}")
    raise SystemExit(bool(outcome.strange) or outcome.slowest[0] > LIMIT_S)


if __name__ == "__main__":
    main()
