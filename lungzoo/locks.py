"""One process at a time: a lock file that its owner's death releases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lungzoo.errors import BusyError, StorageError, storage_error


def acquire(path: Path, busy: str) -> FileLock:
    """Take a lock without waiting.

    Args:
        path: the lock file; its folder must exist.
        busy: message for when another process has it.

    Raises:
        BusyError: another process has it.
        StorageError: the folder cannot be written.
    """
    if not os.access(path.parent, os.W_OK):  # filelock would take this for a lock that is held
        raise StorageError(f"Cannot write to {path.parent}. Choose a folder that you may write to.")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if path.exists():
            raise BusyError(busy) from None
        raise StorageError(f"Cannot make files in {path.parent}. Choose another folder.") from None
    except OSError as error:
        raise storage_error("write to", error) from error
    return lock


def release(lock: FileLock, remove: bool) -> None:
    """Give a lock back; with `remove` its file goes too."""
    if remove:
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@contextmanager
def in_turn(
    path: Path, wait_s: float, busy: str, elsewhere: str = "Choose a folder that you may write to."
) -> Iterator[None]:
    """Hold a lock; wait for another process that has it.

    Args:
        path: the lock file; its folder must exist.
        wait_s: seconds to wait at most.
        busy: message for when another process still has it.
        elsewhere: what to do where the folder cannot be written.

    Raises:
        BusyError: another process has had it for too long.
        StorageError: the folder cannot be written.
    """
    if not os.access(path.parent, os.W_OK):  # filelock would take this for a lock that is held
        raise StorageError(f"Cannot write to {path.parent}. {elsewhere}")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(busy) from None
    try:
        yield
    finally:
        lock.release()
