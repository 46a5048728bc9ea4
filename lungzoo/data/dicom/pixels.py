"""Stored values of a DICOM image: checked against the bytes that are there before anything is allocated."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.data.dicom.files import MAX_DICOM_BYTES, MAX_FRAMES, guarded
from lungzoo.data.dicom.planes import MAX_SIDE_PX
from lungzoo.data.dicom.values import integer, number, raw, text
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_VOXELS = 2**30
# Of one file: 1,024 slices of 512². Single bits, one byte each once unpacked, have MAX_VOXELS.
MAX_FILE_VOXELS = 2**28
_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_PACKAGES = {
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pillow",
    "1.2.840.10008.1.2.4.91": "pillow",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
_SIZE_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of a file are stored; `bits` allocated, stored, and the place of the highest."""

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    syntax: str

    @property
    def frame_bits(self) -> int:
        """Size of one frame, uncompressed."""
        return self.rows * self.columns * self.allocated


def read_format(dataset: Dataset) -> PixelFormat:
    """Return how pixels are stored; raises DatasetError for what no grey image has."""
    samples = integer(dataset, "SamplesPerPixel", 1, 4, default=1)
    if samples != 1:
        raise DatasetError(f"has {samples} values per pixel: a colour picture, not HU")
    allocated = integer(dataset, "BitsAllocated", 1, 64)
    if allocated not in (1, 8, 16, 32):
        raise DatasetError(f"BitsAllocated is {allocated}, expected 1, 8, 16 or 32")
    stored = integer(dataset, "BitsStored", 1, allocated, default=allocated)
    meta = getattr(dataset, "file_meta", None)
    pixels = PixelFormat(
        integer(dataset, "Rows", 1, MAX_SIDE_PX),
        integer(dataset, "Columns", 1, MAX_SIDE_PX),
        integer(dataset, "NumberOfFrames", 1, MAX_FRAMES, default=1),
        allocated,
        stored,
        integer(dataset, "HighBit", stored - 1, allocated - 1, default=stored - 1),
        bool(integer(dataset, "PixelRepresentation", 0, 1, default=0)),
        (text(meta, "TransferSyntaxUID") if meta is not None else "") or _guessed(dataset),
    )
    most = MAX_VOXELS if allocated == 1 else MAX_FILE_VOXELS
    if pixels.rows * pixels.columns * pixels.frames > most:
        raise DatasetError(
            f"says it has {pixels.rows}×{pixels.columns}×{pixels.frames} voxels, "
            f"more than the {most:,} allowed in a file"
        )
    return pixels


def stored_frames(dataset: Dataset, pixels: PixelFormat) -> Iterator[np.ndarray]:
    """Yield the values of each frame as stored, (rows, columns), integers with unused bits taken off.

    Args:
        dataset: the file.
        pixels: of `read_format`.

    Raises:
        DatasetError: the pixels are missing, cut off, of an impossible size, or compressed in a way for which no codec
            is installed.
    """
    data = raw(dataset, "PixelData", MAX_DICOM_BYTES)
    if data is None:
        raise DatasetError("has no pixel data")
    if not isinstance(data, bytes):
        raise DatasetError("PixelData is no string of bytes")
    native = pixels.syntax in (_IMPLICIT, _EXPLICIT, _BIG)
    frames = _native(data, pixels) if native else _decompressed(dataset, data, pixels)
    for values in frames:
        yield _without_unused_bits(values, pixels) if pixels.allocated > 1 else values


def padding_range(dataset: Dataset, pixels: PixelFormat) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that are padding outside the scanned circle, None without padding."""
    low = number(dataset, "PixelPaddingValue")
    if low is None:
        return None
    high = number(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(value, pixels) for value in (low, low if high is None else high)]
    return min(ends), max(ends)


def _native(data: bytes, pixels: PixelFormat) -> Iterator[np.ndarray]:
    needed = (pixels.frame_bits * pixels.frames + 7) // 8
    shape = (pixels.rows, pixels.columns)
    if len(data) < needed:
        raise DatasetError(
            f"pixel data is cut off: {len(data):,} bytes, but {pixels.frames}×{pixels.rows}×{pixels.columns} pixels of "
            f"{pixels.allocated} bits need {needed:,}"
        )
    dtype = np.dtype(f"{'>' if pixels.syntax == _BIG else '<'}u{max(pixels.allocated // 8, 1)}")
    for start in range(0, pixels.frame_bits * pixels.frames, pixels.frame_bits):
        if pixels.allocated == 1:
            # Frames of single bits follow each other without a gap, so one may begin within a byte.
            end = start + pixels.frame_bits
            packed = np.frombuffer(data, np.uint8, (end + 7) // 8 - start // 8, start // 8)
            bits = np.unpackbits(packed, bitorder="little")[start % 8 :]
            yield bits[: pixels.frame_bits].reshape(shape)
        else:
            yield np.frombuffer(data, dtype, pixels.rows * pixels.columns, start // 8).reshape(shape)


def _decompressed(dataset: Dataset, data: bytes, pixels: PixelFormat) -> Iterator[np.ndarray]:
    from pydicom.encaps import generate_frames
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    with guarded(f"its transfer syntax '{pixels.syntax}' is unknown; convert it to Explicit VR Little Endian"):
        syntax = UID(pixels.syntax)
        decoder = get_decoder(syntax)
    if not decoder.is_available:
        packages = _PACKAGES.get(pixels.syntax, "pylibjpeg pylibjpeg-libjpeg")
        raise DatasetError(f"is compressed as {syntax.name}, for which no decoder is installed: pip install {packages}")
    with guarded(f"its {syntax.name} frames are damaged"):
        count = 0
        for frame in generate_frames(data, number_of_frames=pixels.frames):
            _check_claim(frame, pixels)
            count += 1
    if count != pixels.frames:
        raise DatasetError(f"holds {count} compressed frames and says {pixels.frames}")
    frames = decoder.iter_array(dataset, raw=True)
    for _ in range(pixels.frames):
        with guarded(f"its {syntax.name} pixels do not decode"):
            values = next(frames)[0].reshape(pixels.rows, pixels.columns)
        yield values


def _check_claim(frame: bytes, pixels: PixelFormat) -> None:
    """Refuse a compressed frame whose own header claims another size: decoders allocate by it."""
    for rows, columns in _claimed_sizes(frame):
        if (rows, columns) != (pixels.rows, pixels.columns):
            raise DatasetError(
                f"its compressed frame is {rows}×{columns}, its header says {pixels.rows}×{pixels.columns}"
            )


def _claimed_sizes(frame: bytes) -> Iterator[tuple[int, int]]:
    at = frame.find(_JPEG_2000_SIZE)
    if at >= 0 and len(frame) >= at + 24:
        width, height, left, top = struct.unpack(">4I", frame[at + 8 : at + 24])
        yield height - top, width - left
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _SIZE_MARKERS:
            yield struct.unpack(">HH", frame[at + 5 : at + 9])
        at += 2 + max(2, int.from_bytes(frame[at + 2 : at + 4], "big"))


def _without_unused_bits(values: np.ndarray, pixels: PixelFormat) -> np.ndarray:
    """Return the stored bits, with their sign: a view, or of bytes that cannot be written a copy of the same width."""
    width = 8 * values.dtype.itemsize
    values = values.view(values.dtype.str.replace("i", "u"))
    if pixels.stored < width:
        values = np.left_shift(values, width - 1 - pixels.high, out=values if values.flags.writeable else None)
    if pixels.signed:
        values = values.view(values.dtype.str.replace("u", "i"))
    # A right shift of signed values repeats the sign.
    return np.right_shift(values, width - pixels.stored, out=values) if pixels.stored < width else values


def _as_stored(value: float, pixels: PixelFormat) -> int:
    """Read a padding value, which may be written signed or not, as the pixels are."""
    whole = int(value) & ((1 << pixels.stored) - 1)
    return whole - (1 << pixels.stored) if pixels.signed and whole >> (pixels.stored - 1) else whole


def _guessed(dataset: Dataset) -> str:
    implicit, little = getattr(dataset, "original_encoding", (True, True))
    if little is False:
        return _BIG
    return _IMPLICIT if implicit else _EXPLICIT
