"""Small files of hubs: fetched whole, checked, and remembered for when there is no connection."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lungzoo.atomic import write_atomic
from lungzoo.errors import WeightsUnavailable, storage_error
from lungzoo.weights.receiving import Failed, receive, try_each

Parsed = TypeVar("Parsed")
Parse = Callable[[bytes, str], Parsed]


def read_latest(url: str, at_most: int, remembered: Path, parse: Parse[Parsed], offline: bool) -> Parsed:
    """Return what a document says now; where its server does not answer, what it said last.

    Args:
        url: of the document.
        at_most: bytes that it may have.
        remembered: file that keeps its content; not written unless it parses.
        parse: function from content, and from where it comes, to the answer.
        offline: open no connection.

    Raises:
        WeightsUnavailable: it cannot be had.
        ConfigError: it is malformed.
        StorageError: it cannot be remembered.
    """
    if offline:
        if not remembered.is_file():
            raise WeightsUnavailable(f"Offline, and {url} was never read from here. Go online, or take another hub.")
        return parse(remembered.read_bytes(), str(remembered))
    try:
        content = try_each((url,), lambda address: _get(address, at_most))
    except Failed as failure:
        if failure.final or not remembered.is_file():
            raise WeightsUnavailable(f"A hub cannot be read ({failure}). Check its address, or take another.") from None
        return parse(remembered.read_bytes(), str(remembered))
    found = parse(content, url)
    _remember(remembered, content)
    return found


def read_pinned(url: str, size_bytes: int, sha256: str, remembered: Path, offline: bool) -> bytes:
    """Return a document of known size and hash, without asking where it is remembered; see `read_latest`."""
    if remembered.is_file() and _sha256(content := remembered.read_bytes()) == sha256:
        return content
    if offline:
        raise WeightsUnavailable(f"Offline, and {url} was never read from here. Go online, or take another hub.")

    def fetch(address: str) -> bytes:
        content = _get(address, size_bytes)
        if len(content) < size_bytes:
            raise Failed(f"it ended after {len(content)} of {size_bytes} bytes")
        if _sha256(content) != sha256:
            raise Failed("it serves another file; the sha256 differs", final=True)
        return content

    try:
        content = try_each((url,), fetch)
    except Failed as failure:
        raise WeightsUnavailable(f"A hub cannot be read ({failure}). Check its address, or take another.") from None
    _remember(remembered, content)
    return content


def _get(url: str, at_most: int) -> bytes:
    stream = io.BytesIO()
    receive(url, stream, at_most)
    return stream.getvalue()


def _remember(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise storage_error("keep what a hub says in", error) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
