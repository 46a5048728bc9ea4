"""One request for a file of bounded size: what goes wrong, in words, and what is worth another try."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from lungzoo.errors import storage_error

TIMEOUT_S = 30.0
PAUSES_S = (1.0, 4.0)

_CHUNK_BYTES = 2**16
_LATER = (408, 429)
"""Answers of the 400s that ask to come back later."""

Got = TypeVar("Got")


class Failed(Exception):
    """One address did not give the file.

    Args:
        reason: for people.
        final: asking again would change nothing.
    """

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def try_each(urls: Iterable[str], attempt: Callable[[str], Got]) -> Got:
    """Return the first answer of several addresses; the whole row is tried up to three times, with pauses that grow.

    Raises:
        Failed: none answered; says why each did not, and is final where all were.
    """
    failures: dict[str, Failed] = {}
    for pause in (0.0, *PAUSES_S):
        open_to_us = [url for url in urls if url not in failures or not failures[url].final]
        if open_to_us:
            time.sleep(pause)
        for url in open_to_us:
            try:
                return attempt(url)
            except Failed as failure:
                failures[url] = failure
    reasons = "; ".join(f"{url}: {failure}" for url, failure in failures.items())
    raise Failed(reasons, all(failure.final for failure in failures.values()))


def receive(url: str, stream: IO[bytes], at_most: int) -> int:
    """Write what an address serves into a stream, and return how many bytes came.

    Args:
        url: http or https; redirects are followed, but never from https to http.
        stream: to write into.
        at_most: bytes; the connection is closed at the first one more.

    Raises:
        Failed: it did not come, or is larger.
        StorageError: the disk did not take it.
    """
    import pooch

    responses: list[Any] = []  # pooch leaves one open that was not read to its end

    def seen(response: Any, **_: Any) -> None:
        responses.append(response)
        check_redirect(response.url, response.headers.get("Location"))

    bounded = _Bounded(stream, at_most)
    try:
        fetch = pooch.HTTPDownloader(timeout=TIMEOUT_S, chunk_size=_CHUNK_BYTES, hooks={"response": seen})
        fetch(url, bounded, None)
    except (OSError, ValueError) as error:  # what requests raises is an OSError or a ValueError
        raise Failed(*_explain(error)) from error
    finally:
        for response in responses:
            response.close()
    return bounded.received


def check_redirect(url: str, location: str | None) -> None:
    """Raise Failed where an answer sends its reader from https to anything else."""
    if location and urlsplit(url).scheme == "https" and urlsplit(urljoin(url, location)).scheme != "https":
        raise Failed(f"it redirects from https to {location[:80]}", final=True)


class _Bounded:
    """A stream that takes no more bytes than the file has, and tells a disk's failure from the network's."""

    def __init__(self, stream: IO[bytes], at_most: int) -> None:
        self._stream, self._size = stream, at_most
        self.received = 0

    def write(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received > self._size:
            raise Failed(f"it serves another file, larger than {self._size} bytes", final=True)
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
    text, kind = str(error), type(error).__name__
    if kind == "TooManyRedirects":
        return "it redirects in a circle", True
    if kind in ("InvalidSchema", "InvalidURL", "MissingSchema"):
        return f"it redirects to what is no http address: {text[:120]}", True
    if response is not None:
        final = 400 <= response.status_code < 500 and response.status_code not in _LATER
        return f"{response.status_code} {response.reason}", final
    if "Timeout" in kind or "timed out" in text:
        return f"no answer within {TIMEOUT_S:g} s", False
    if "refused" in text:
        return "connection refused", False
    if "resolve" in text or "Name or service" in text:
        return "the server's name is not known here", False
    if kind == "ChunkedEncodingError" or "Remote end closed" in text or "Connection aborted" in text:
        return "the connection broke off", False
    return f"{kind}: {text.partition(chr(10))[0][:200]}", False
