"""Files that are made of scans, whatever they hold: the kind a name means, what is checked beforehand, and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from lungzoo.data.files.write import check_free, check_writable
from lungzoo.errors import DatasetError, LungzooError, StorageError, UsageError
from lungzoo.inference.batches import MemoryRanOut, memory_named

Kind = TypeVar("Kind")


def kind_of(path: Path, kinds: Mapping[str, Kind], what: str) -> Kind:
    """Return the kind of file that a name means.

    Args:
        path: the file.
        kinds: by the ending of the name.
        what: is written, such as "a prediction"; for the message.

    Raises:
        UsageError: none has this ending.
    """
    for suffix, kind in kinds.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise UsageError(f"Cannot write {what} to '{path.name}'. Allowed endings: {', '.join(kinds)}.")


def check_files(paths: Iterable[Path], sources: Iterable[Path], force: bool) -> None:
    """Check that files can be made; nothing is computed in vain.

    Args:
        paths: the files.
        sources: files and folders that are read. What they hold is never replaced, `force` or not; a new file may lie
            in their folders.
        force: replace other files that exist.

    Raises:
        UsageError: one exists, belongs to a source, or lies where nothing may be written.
    """
    read = {source.resolve() for source in sources}
    for path in paths:
        if path.exists() and not read.isdisjoint((path.resolve(), *path.resolve().parents)):
            raise UsageError(f"{path} is an input or part of one, and is not replaced. Choose another name.")
        _check_free(path, force)
        check_writable(path)


def write_each(paths: Iterable[Path], write: Callable[[Path], None]) -> None:
    """Write files; one that cannot be written does not keep the others from it.

    Args:
        paths: the files.
        write: makes one, whole or not at all; raises LungzooError.

    Raises:
        LungzooError: the only fault, or one of all: a StorageError if any is, since other files will hardly fare
            better, else a MemoryRanOut, DatasetError or UsageError.
    """
    faults: list[LungzooError] = []
    for path in paths:
        try:
            with memory_named():
                write(path)
        except LungzooError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        kinds: tuple[type[LungzooError], ...] = (StorageError, MemoryRanOut, DatasetError, UsageError, LungzooError)
        kind = next(kind for kind in kinds if any(isinstance(fault, kind) for fault in faults))
        raise kind("\n".join(map(str, faults)))


def _check_free(path: Path, force: bool) -> None:
    try:
        check_free(path, force)
    except UsageError:
        way = "Choose another name." if path.is_dir() else "Choose another name, or replace it with --force."
        raise UsageError(f"{path} exists already. {way}") from None
