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

# Multi-frame files are large; what is inflated stays below MAX_FILE_BYTES.
MAX_DICOM_BYTES = 2**30
HEAD_BYTES = 132
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"
_MAGIC_AT, _META_LENGTH_AT = 128, 140
# Files without the preamble start with one of these elements of group 0002 or 0008.
_OLD_STARTS = (b"\2\0\0\0", *(b"\x08\0" + bytes([element, 0]) for element in (0, 1, 5, 8, 0x12, 0x16)))


def looks_like_dicom(data: bytes) -> bool:
    """Say whether the bytes begin as DICOM does, with or without the preamble of 128 bytes."""
    return data[_MAGIC_AT : _MAGIC_AT + 4] == b"DICM" or data.startswith(_OLD_STARTS)


def parse(data: bytes, with_pixels: bool = True, keywords: tuple[str, ...] = ()) -> Dataset:
    """Parse a DICOM file.

    Args:
        data: the whole file.
        with_pixels: False stops before the pixels.
        keywords: attributes to keep; all where empty.

    Raises:
        DatasetError: it is not DICOM, or is damaged; the message does not name the file.
        UsageError: pydicom is not installed.
    """
    try:
        from pydicom import dcmread
        from pydicom.datadict import tag_for_keyword
    except ImportError:
        raise missing_extra("pydicom", "medical", "DICOM files") from None
    if not looks_like_dicom(data):
        received = f"{len(data):,} bytes that start with {data[:8]!r}" if data else "an empty file"
        raise DatasetError(f"is not a DICOM file: no 'DICM' at byte 128. Received {received}")
    data = _inflated(data)
    tags = [tag for tag in map(tag_for_keyword, keywords) if tag is not None]
    with guarded("cannot be parsed"):
        return dcmread(io.BytesIO(data), stop_before_pixels=not with_pixels, force=True, specific_tags=tags or None)


@contextmanager
def guarded(what: str) -> Iterator[None]:
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
