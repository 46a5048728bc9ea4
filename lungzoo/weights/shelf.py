"""Puts weights into a hub: a folder of their own, and a line in its index; whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lungzoo.atomic import write_atomic
from lungzoo.errors import UsageError, storage_error
from lungzoo.locks import in_turn
from lungzoo.weights.index import INDEX, MANIFEST, HubEntry, HubIndex, read_index
from lungzoo.weights.manifest import read_manifest

LOCK = ".lungzoo-hub.lock"
LOCK_WAIT_S = 120.0


def shelve(hub: Path, choose: Callable[[HubIndex], str], fill: Callable[[str, Path], None], force: bool) -> Path:
    """Add weights to a hub; another process that adds some waits.

    Args:
        hub: the folder; it is made.
        choose: function from what is there to the name of the weights; called while nobody else adds any.
        fill: function that writes manifest, weights file and card of a name into an empty folder.
        force: replace weights of that name.

    Returns:
        The folder of the weights.

    Raises:
        UsageError: there are weights of that name.
        ConfigError: the index of the hub is malformed.
        StorageError: the hub cannot be written.
        BusyError: another process has been adding weights for too long.
    """
    try:
        hub.mkdir(parents=True, exist_ok=True)
        busy = f"Another process has been publishing to {hub} for {LOCK_WAIT_S / 60:.0f} minutes. Wait, or end it."
        with in_turn(hub / LOCK, LOCK_WAIT_S, busy):
            return _add(hub, choose, fill, force)
    except OSError as error:
        raise storage_error("publish to", error) from error


def _add(hub: Path, choose: Callable[[HubIndex], str], fill: Callable[[str, Path], None], force: bool) -> Path:
    index = read_index(hub) or HubIndex(format=1)
    name = choose(index)
    place, made, old = hub / name, hub / f".{name}.new", hub / f".{name}.old"
    _tidy(place, made, old)
    if (place.exists() or index.find(name)) and not force:
        raise UsageError(
            f"The hub {hub} has weights named '{name}'. Give another name with --name, or replace them with --force."
        )
    moved = False
    try:
        made.mkdir()
        fill(name, made)
        _sync(made)
        entry = _entry(made)
        if place.exists():
            os.replace(place, old)
        os.replace(made, place)
        moved = True
        write_atomic(hub / INDEX, index.with_entry(entry).to_json())
    except BaseException:
        if moved:
            shutil.rmtree(place)
        if old.exists():
            os.replace(old, place)
        raise
    finally:
        _tidy(place, made, old)
    return place


def _tidy(place: Path, made: Path, old: Path) -> None:
    """Remove what was half done, also by a process that was killed; what it had set aside goes back."""
    if old.exists() and not place.exists():
        os.replace(old, place)
    for left in (made, old):
        shutil.rmtree(left, ignore_errors=True)


def _entry(folder: Path) -> HubEntry:
    content = (folder / MANIFEST).read_bytes()
    manifest = read_manifest(folder / MANIFEST)
    return HubEntry(
        name=manifest.name,
        title=manifest.title,
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        manifest_bytes=len(content),
        file=manifest.file,
        sha256=manifest.sha256,
        size_bytes=manifest.size_bytes,
    )


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
