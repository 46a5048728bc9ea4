"""Fetches a file of known hash and size: one process at a time, several tries, whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from lungzoo.errors import BusyError, StorageError, WeightsUnavailable, storage_error
from lungzoo.weights.manifest import WeightsManifest

TIMEOUT_S = 30.0
PAUSES_S = (1.0, 4.0)
LOCK_WAIT_S = 900.0

_CHUNK_BYTES = 2**16


class _Failed(Exception):
    """One address did not give the file.

    Args:
        reason: for people.
        final: asking again would change nothing.
    """

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def download(urls: tuple[str, ...], target: Path, manifest: WeightsManifest) -> None:
    """Fetch the file of a manifest; another process that wants it waits, and finds it there.

    Args:
        urls: addresses, tried in turn; the whole row up to three times, with pauses that grow.
        target: where the intact file goes.
        manifest: says its size and sha256.

    Raises:
        WeightsUnavailable: no address gave it; says why each did not.
        StorageError: the folder cannot be written, or its disk is full.
        BusyError: another process has been fetching it for too long.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not (target.is_file() and manifest.fault(target) is None):
                _fetch(urls, target, manifest)
    except OSError as error:
        raise storage_error("put the weights into", error) from error


def _fetch(urls: tuple[str, ...], target: Path, manifest: WeightsManifest) -> None:
    failures: dict[str, _Failed] = {}
    for pause in (0.0, *PAUSES_S):
        open_to_us = [url for url in urls if url not in failures or not failures[url].final]
        if open_to_us:
            time.sleep(pause)
        for url in open_to_us:
            try:
                return _fetch_once(url, target, manifest)
            except _Failed as failure:
                failures[url] = failure
    reasons = "; ".join(f"{url}: {failure}" for url, failure in failures.items())
    raise WeightsUnavailable(
        f"The weights '{manifest.name}' could not be fetched ({reasons}). "
        f"Go online, or put {manifest.file} at {target}."
    )


def _fetch_once(url: str, target: Path, manifest: WeightsManifest) -> None:
    """Download aside, compare, rename. What a killed process left aside is swept away first."""
    import pooch

    aside = target.parent / f".{target.name}.part"
    shutil.rmtree(aside, ignore_errors=True)

    def receive(address: str, output: str, _: Any) -> None:
        responses: list[Any] = []  # pooch leaves one open that was not read to its end
        keep = {"response": lambda response, **_: responses.append(response)}
        with open(output, "wb") as stream:
            bounded = _Bounded(stream, manifest.size_bytes)
            try:
                pooch.HTTPDownloader(timeout=TIMEOUT_S, chunk_size=_CHUNK_BYTES, hooks=keep)(address, bounded, None)
            except (OSError, ValueError) as error:  # what requests raises is an OSError or a ValueError
                raise _Failed(*_explain(error)) from error
            finally:
                for response in responses:
                    response.close()
        if bounded.received < manifest.size_bytes:
            raise _Failed(f"it ended after {bounded.received} of {manifest.size_bytes} bytes")

    pooch.get_logger().setLevel("WARNING")
    try:
        fetched = pooch.retrieve(url, f"sha256:{manifest.sha256}", target.name, aside, downloader=receive)
        os.replace(fetched, target)
    except ValueError:  # pooch: the hash differs
        raise _Failed("it serves another file; the sha256 differs", final=True) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _Bounded:
    """A stream that takes no more bytes than the file has, and tells a disk's failure from the network's."""

    def __init__(self, stream: IO[bytes], size_bytes: int) -> None:
        self._stream, self._size = stream, size_bytes
        self.received = 0

    def write(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received > self._size:
            raise _Failed(f"it serves another file, larger than {self._size} bytes", final=True)
        try:
            self._stream.write(chunk)
            self._stream.flush()
        except OSError as error:
            raise storage_error("write the weights", error) from error

    def flush(self) -> None:
        """Already done by `write`."""


def _explain(error: Exception) -> tuple[str, bool]:
    """Return (reason, final) of an error of `requests`."""
    response = getattr(error, "response", None)
    if response is not None:
        # 408 and 429 ask to come back later.
        final = 400 <= response.status_code < 500 and response.status_code not in (408, 429)
        return f"{response.status_code} {response.reason}", final
    text, kind = str(error), type(error).__name__
    if "Timeout" in kind or "timed out" in text:
        return f"no answer within {TIMEOUT_S:g} s", False
    if "refused" in text:
        return "connection refused", False
    if "resolve" in text or "Name or service" in text:
        return "the server's name is not known here", False
    if kind == "ChunkedEncodingError" or "Remote end closed" in text or "Connection aborted" in text:
        return "the connection broke off", False
    return f"{kind}: {text.partition(chr(10))[0][:200]}", False


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock of a download; wait for another process that has it."""
    if not os.access(target.parent, os.W_OK):  # filelock would take this for a lock that is held
        raise StorageError(f"Cannot write to {target.parent}. Choose another folder with LUNGZOO_CACHE.")
    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout:
        raise BusyError(
            f"Another process has been fetching {target.name} for {LOCK_WAIT_S / 60:.0f} minutes. Wait, or end it."
        ) from None
    try:
        yield
    finally:
        lock.release()
