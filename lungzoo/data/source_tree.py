"""A source of files that is a folder or a zip: list it, read from it by several threads, trust neither."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from lungzoo.errors import DatasetError

MAX_FILE_BYTES = 64 * 2**20
# What reading one file of a damaged, encrypted or exotic archive raises.
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class SourceTree(Protocol):
    """Files of a source by their name: a relative path with forward slashes."""

    def names(self) -> Iterable[str]:
        """Return the files' names, without what macOS leaves behind."""
        ...

    def read(self, name: str) -> bytes:
        """Return one file's bytes; raises one of READ_ERRORS. May be called from several threads."""
        ...


def open_tree(source: Path, layout: str) -> SourceTree:
    """Open a folder or a zip file.

    Args:
        source: its path.
        layout: what is expected in it, for messages.

    Raises:
        DatasetError: the path does not exist, cannot be read, or is a file that is not a sound zip.
    """
    if source.is_dir():
        return _FolderTree(source)
    if not source.exists():
        raise DatasetError(f"No file or folder at {source}. Give {layout}.")
    try:
        return _ZipTree(source)
    except OSError as error:
        raise DatasetError(f"Cannot read {source}: {error.strerror or error}. Check its permissions.") from None
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise DatasetError(
            f"{source} is not a sound zip file: {error}. Received {source.stat().st_size:,} bytes; a "
            f"download that stopped early looks like this, so fetch it again. Expected {layout}."
        ) from None


class _FolderTree:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._names = []
        for folder, _, files in os.walk(root, onerror=self._refuse):
            relative = Path(folder).relative_to(root)
            self._names += [(relative / file).as_posix() for file in files]

    def names(self) -> Iterable[str]:
        return (name for name in self._names if not _is_junk(name))

    def read(self, name: str) -> bytes:
        path = self._root / name
        _check_size(path.stat().st_size)
        return path.read_bytes()

    @staticmethod
    def _refuse(error: OSError) -> None:
        raise DatasetError(f"Cannot list {error.filename}: {error.strerror}. Check its permissions.") from None


class _ZipTree:
    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self._entries = {entry.filename: entry for entry in self._zip.infolist() if not entry.is_dir()}

    def names(self) -> Iterable[str]:
        return (name for name in self._entries if not _is_junk(name))

    def read(self, name: str) -> bytes:
        entry = self._entries[name]
        # zipfile never returns more than the size an entry claims, so the claim is what has to be checked.
        _check_size(entry.file_size)
        return self._zip.read(entry)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise ValueError(f"is {size_bytes:,} bytes large, more than the {MAX_FILE_BYTES:,} allowed")


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1] == ".DS_Store" or parts[-1].startswith("._")
