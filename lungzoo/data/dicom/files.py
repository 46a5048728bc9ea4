"""Opening a DICOM file that nobody vouches for: bounded, and every failure is a DatasetError."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lungzoo.data.source_tree import MAX_FILE_BYTES
from lungzoo.errors import DatasetError, missing_extra

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import RawDataElement
    from pydicom.sequence import Sequence

# Multi-frame files are large; what is inflated stays below MAX_FILE_BYTES.
MAX_DICOM_BYTES = 2**30
HEAD_BYTES = 132
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"
_MAGIC_AT, _META_LENGTH_AT = 128, 140
# An element takes two steps, an item three: some hundred elements in a slice, some thousand in a structure set.
MAX_STEPS = 300_000
_STEPS_OF_A_FRAME = 60
MAX_FRAMES = 65_535
_NUMBER_OF_FRAMES, _FUNCTIONAL_GROUPS = 0x00280008, 0x52009229
# Files without the preamble start with one of these elements of group 0002 or 0008.
_OLD_STARTS = (b"\2\0\0\0", *(b"\x08\0" + bytes([element, 0]) for element in (0, 1, 5, 8, 0x12, 0x16)))


def looks_like_dicom(data: bytes) -> bool:
    """Say whether the bytes begin as DICOM does, with or without the preamble of 128 bytes."""
    return data[_MAGIC_AT : _MAGIC_AT + 4] == b"DICM" or data.startswith(_OLD_STARTS)


class Steps:
    """How many more steps parsing a file may take; shared by the file and the sequences within it.

    Elements of eight bytes take pydicom some microseconds and a few hundred bytes each, so that without a bound a
    file of 64 MiB would keep it busy for minutes.
    """

    def __init__(self) -> None:
        self.allowed = self.left = MAX_STEPS

    def take(self) -> None:
        """Count a step; raises DatasetError where none is left."""
        self.left -= 1
        self.check()

    def check(self) -> None:
        """Raise DatasetError where more steps were taken than are allowed."""
        if self.left < 0:
            raise DatasetError(f"has too many elements: parsing it takes more than the {self.allowed:,} steps allowed")

    def allow_frames(self, count: bytes) -> None:
        """Allow for what a multi-frame file says of each frame; `count` is NumberOfFrames as it is written."""
        if self.allowed == MAX_STEPS and count.strip(b" \0").isdigit():
            more = _STEPS_OF_A_FRAME * min(int(count.strip(b" \0")), MAX_FRAMES)
            self.allowed, self.left = self.allowed + more, self.left + more


class _Stepped(io.BytesIO):
    """A file in memory, each read of which is a step."""

    def __init__(self, data: bytes, steps: Steps) -> None:
        super().__init__(data)
        self.steps = steps

    def read(self, size: int | None = -1, /) -> bytes:
        self.steps.take()
        return super().read(size)


def parse(data: bytes, with_pixels: bool = True, keywords: tuple[str, ...] = ()) -> Dataset:
    """Parse a DICOM file.

    Args:
        data: the whole file.
        with_pixels: False stops before what multi-frame files say of each frame, and before the pixels.
        keywords: attributes to keep; all where empty.

    Raises:
        DatasetError: it is not DICOM, or is damaged; the message does not name the file.
        UsageError: pydicom is not installed.
    """
    try:
        from pydicom import datadict, filereader
    except ImportError:
        raise missing_extra("pydicom", "medical", "DICOM files") from None
    if not looks_like_dicom(data):
        received = f"{len(data):,} bytes that start with {data[:8]!r}" if data else "an empty file"
        raise DatasetError(f"is not a DICOM file: no 'DICM' at byte 128. Received {received}")
    data = _inflated(data)
    tags = [tag for tag in map(datadict.tag_for_keyword, keywords) if tag is not None]
    steps = Steps()
    file = _Stepped(data, steps)

    def stop(tag: int, _: str | None, length: int) -> bool:
        if tag == _NUMBER_OF_FRAMES:
            steps.allow_frames(data[file.tell() : file.tell() + min(length, 16)])
        return not with_pixels and tag >= _FUNCTIONAL_GROUPS

    with guarded("cannot be parsed", steps):
        dataset = filereader.read_partial(file, stop, force=True, specific_tags=tags or None)
        dataset.buffer = None  # else it keeps the whole file
    return with_steps(dataset, steps)


def parse_items(element: RawDataElement, holder: Dataset) -> Sequence:
    """Parse a sequence that is still bytes, within the steps that are left to its file."""
    from pydicom.filereader import read_sequence

    data = element.value or b""
    file = _Stepped(data, getattr(holder, "steps", None) or Steps())
    encoding = holder.original_character_set or "iso8859"
    # pydicom makes an OSError of whatever reading an item raises, so the steps are asked.
    with guarded("cannot be parsed", file.steps):
        return read_sequence(file, element.is_implicit_VR, element.is_little_endian, len(data), encoding)


def with_steps(dataset: Dataset, steps: Steps | None) -> Dataset:
    """Let a data set know the steps that are left for what it holds."""
    object.__setattr__(dataset, "steps", steps)
    return dataset


@contextmanager
def guarded(what: str, steps: Steps | None = None) -> Iterator[None]:
    """Turn whatever pydicom raises on damaged data into a DatasetError, and keep its warnings quiet.

    pydicom names no set of exceptions: struct, Unicode, recursion and attribute errors all come out of bad files.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DatasetError:
        raise
    except Exception as error:
        if steps is not None:
            steps.check()
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{what}: {type(error).__name__}{': ' if reason else ''}{reason}") from None


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put the name of a file before the message of a DatasetError."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from None


def _inflated(data: bytes) -> bytes:
    """Return a file of the deflated transfer syntax as plain explicit VR; pydicom would inflate without a limit."""
    if _DEFLATED not in data:
        return data
    start = _META_LENGTH_AT + 4 + int.from_bytes(data[_META_LENGTH_AT : _META_LENGTH_AT + 4], "little")
    if _DEFLATED not in data[:start] or _DEFLATED in data[start:]:
        raise DatasetError("is deflated, and its header is damaged")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data[start:], MAX_FILE_BYTES + 1)
    except zlib.error as error:
        raise DatasetError(f"is deflated, and does not inflate: {error}") from None
    if len(body) > MAX_FILE_BYTES:
        raise DatasetError(f"inflates to more than the {MAX_FILE_BYTES:,} bytes allowed")
    if _DEFLATED in body:
        raise DatasetError("is deflated more than once")
    return data[:start].replace(_DEFLATED, _EXPLICIT) + body
