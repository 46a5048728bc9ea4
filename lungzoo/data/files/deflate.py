"""Compressed voxels: inflated into room that is there already, never into more."""

from __future__ import annotations

import zlib
from typing import BinaryIO

MAX_INFLATION = 1032
"""Times that deflate can shrink anything; a file that claims more is damaged or hostile."""
ZLIB, GZIP = zlib.MAX_WBITS, 16 + zlib.MAX_WBITS
_CHUNK = 2**20


def fits(claimed_bytes: int, there_bytes: int, compressed: bool) -> bool:
    """Tell whether a file that holds `there_bytes` of voxels can hold the bytes that its header claims."""
    return claimed_bytes <= there_bytes * MAX_INFLATION if compressed else claimed_bytes == there_bytes


def inflate(file: BinaryIO, view: memoryview, kind: int = ZLIB) -> int:
    """Inflate a stream into `view`.

    Args:
        file: at the beginning of the stream.
        view: of as many bytes as the header claims.
        kind: `ZLIB` or `GZIP`.

    Returns:
        The bytes filled.

    Raises:
        zlib.error: the stream is damaged, or holds more than there is room for.
    """
    engine, filled = zlib.decompressobj(kind), 0
    while not engine.eof:
        chunk = engine.unconsumed_tail or file.read(_CHUNK)
        if not chunk:
            return filled
        part = engine.decompress(chunk, min(_CHUNK, len(view) - filled) + 1)
        if len(part) > len(view) - filled:
            raise zlib.error(f"it holds more than the {len(view):,} bytes that its header claims")
        view[filled : filled + len(part)] = part
        filled += len(part)
    return filled
