"""Fetches a file of known hash and size: one process at a time, several tries, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from lungzoo.errors import WeightsUnavailable, storage_error
from lungzoo.locks import in_turn
from lungzoo.weights.manifest import WeightsManifest
from lungzoo.weights.receiving import Failed, receive, try_each

LOCK_WAIT_S = 900.0


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
        lock = target.parent / f".{target.name}.lock"
        busy = f"Another process has been fetching {target.name} for {LOCK_WAIT_S / 60:.0f} minutes. Wait, or end it."
        with in_turn(lock, LOCK_WAIT_S, busy, "Choose another folder with LUNGZOO_CACHE."):
            if not (target.is_file() and manifest.fault(target) is None):
                try_each(urls, lambda url: _fetch_once(url, target, manifest))
    except Failed as failure:
        raise WeightsUnavailable(
            f"The weights '{manifest.name}' could not be fetched ({failure}). "
            f"Go online, or put {manifest.file} at {target}."
        ) from None
    except OSError as error:
        raise storage_error("put the weights into", error) from error


def _fetch_once(url: str, target: Path, manifest: WeightsManifest) -> None:
    """Download aside, compare, rename. What a killed process left aside is swept away first."""
    import pooch

    aside = target.parent / f".{target.name}.part"
    shutil.rmtree(aside, ignore_errors=True)

    def save(address: str, output: str, _: Any) -> None:
        with open(output, "wb") as stream:
            received = receive(address, stream, manifest.size_bytes)
        if received < manifest.size_bytes:
            raise Failed(f"it ended after {received} of {manifest.size_bytes} bytes")

    pooch.get_logger().setLevel("WARNING")
    try:
        fetched = pooch.retrieve(url, f"sha256:{manifest.sha256}", target.name, aside, downloader=save)
        os.replace(fetched, target)
    except ValueError:  # pooch: the hash differs
        raise Failed("it serves another file; the sha256 differs", final=True) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
