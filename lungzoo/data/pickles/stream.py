"""The bytes of a pickle, read in order: within the file, within the frame, and never more than asked for."""

from __future__ import annotations

import os
from typing import BinaryIO

from lungzoo.data.pickles.allowed import Refused

MAX_LINE_BYTES = 128 * 2**20


class Stream:
    """A pickle that is read once from the start; bytes can be skipped and read later.

    Args:
        file: opened for reading, seekable.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = file.seek(0, os.SEEK_END)
        self.position = file.seek(0)
        self._frame_end = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._check(count)
        data = self._file.read(count)
        if len(data) != count:
            raise Refused("was cut off while it was read")
        self.position += count
        return data

    def skip(self, count: int) -> int:
        """Pass over bytes and return where they began."""
        self._check(count)
        start = self.position
        self.position = self._file.seek(start + count)
        return start

    def line(self) -> tuple[int, int]:
        """Pass over a line and return where it began and its length without the newline."""
        start = self.position
        data = self._file.readline(MAX_LINE_BYTES)
        if not data.endswith(b"\n"):
            raise Refused(f"has a line without an end, or of more than {MAX_LINE_BYTES:,} bytes, at byte {start:,}")
        self._file.seek(start)
        self._check(len(data))
        self.position = self._file.seek(start + len(data))
        return start, len(data) - 1

    def at(self, offset: int, length: int) -> bytes:
        """Return bytes that were passed over."""
        self._file.seek(offset)
        data = self._file.read(length)
        self._file.seek(self.position)
        if len(data) != length:
            raise Refused("was cut off while it was read")
        return data

    def frame(self, length: int) -> None:
        """Begin a frame: nothing may reach over its end, and frames do not nest."""
        if self.position < self._frame_end:
            raise Refused(f"begins a frame within another at byte {self.position:,}")
        self._check(length)
        self._frame_end = self.position + length

    def _check(self, count: int) -> None:
        left = self.size_bytes - self.position
        if count > left:
            raise Refused(f"claims {count:,} bytes at byte {self.position:,}, where {max(left, 0):,} are left")
        if self.position < self._frame_end < self.position + count:
            raise Refused(f"reaches over the end of a frame at byte {self.position:,}")
