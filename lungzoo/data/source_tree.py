"""A source of files that is a folder or an archive: list it, read from it by several threads, trust none of it.

Archives are zip and tar, also packed by gzip, bzip2 or xz. Nothing is ever unpacked under a name that an archive gives,
and an archive within an archive is a file like any other. What is refused on sight: names that lead elsewhere, links,
devices, the same name twice, entries that share bytes, and archives that grow beyond reason.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from lungzoo.errors import DatasetError, storage_error

MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 128 * 2**30
# DEFLATE reaches 1032 on zeros; CT slices with masked surroundings stay below 40.
MAX_RATIO = 200
# Below this, an archive may grow by any ratio.
FREE_BYTES = 256 * 2**20
MAX_ENTRIES = 2_000_000
# What reading one file of a damaged, encrypted or exotic archive raises.
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_XZ_MEMORY_BYTES = 512 * 2**20
_MAX_HEADER_BYTES = 2**20
_CHUNK_BYTES = 2**20
_BLOCK_BYTES = 512
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 1
_DRIVE = re.compile(r"[A-Za-z]:")


class SourceTree(Protocol):
    """Files of a source by their name: a relative path with forward slashes."""

    def names(self) -> Iterable[str]:
        """Return the files' names, without what macOS leaves behind."""

    def head(self, name: str, count: int) -> bytes:
        """Return up to `count` bytes from a file's start, whatever its size; raises one of READ_ERRORS."""

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return one file's bytes, up to `limit` (MAX_FILE_BYTES); raises one of READ_ERRORS. Fit for threads."""

    def copy(self, name: str, target: BinaryIO) -> None:
        """Write one file of any size to an open file, little by little; raises one of READ_ERRORS."""


def open_tree(source: Path, layout: str) -> SourceTree:
    """Open a folder or an archive.

    Args:
        source: its path.
        layout: what is expected in it, for messages.

    Raises:
        DatasetError: the path does not exist or cannot be read, is a file that is no sound zip or tar, or holds what no
            dataset needs: names that lead out of it, links out of it, devices, names that occur twice, entries that
            share bytes, or far more bytes than its size warrants.
        StorageError: there is no room to unpack a compressed tar.
    """
    if source.is_dir():
        return _FolderTree(source)
    if not source.exists():
        raise DatasetError(f"No file or folder at {source}. Give {layout}.")
    if not source.is_file():
        raise DatasetError(f"{source} is neither a file nor a folder. Give {layout}.")
    kind = "zip"
    try:
        kind = _kind(source)
        return _ZipTree(source) if kind == "zip" else _TarTree(source, kind)
    except OSError as error:
        raise DatasetError(f"Cannot read {source}: {error.strerror or error}. Check its permissions.") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, RuntimeError, OverflowError) as error:
        raise DatasetError(
            f"{source} is not a sound {kind} file: {error}. Received {source.stat().st_size:,} bytes; a "
            f"download that stopped early looks like this, so fetch it again. Expected {layout}."
        ) from None


def _kind(source: Path) -> str:
    with source.open("rb") as file:
        head = file.read(_BLOCK_BYTES)
    for magic, packing in _PACKED.items():
        if head.startswith(magic):
            return f"tar ({packing})"
    return "tar" if head[257:262] == b"ustar" or source.suffix.lower() == ".tar" else "zip"


class _FolderTree:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._real = root.resolve()
        self._names = sorted(self._walk(root, ""))

    def names(self) -> Iterable[str]:
        return iter(self._names)

    def head(self, name: str, count: int) -> bytes:
        with (self._root / name).open("rb") as file:
            return file.read(count)

    def read(self, name: str, limit: int | None = None) -> bytes:
        path = self._root / name
        _check_size(path.stat().st_size, limit)
        return path.read_bytes()

    def copy(self, name: str, target: BinaryIO) -> None:
        with (self._root / name).open("rb") as file:
            shutil.copyfileobj(file, target, _CHUNK_BYTES)

    def _walk(self, root: Path, prefix: str) -> Iterator[str]:
        folders = [(root, prefix)]
        while folders:
            folder, prefix = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                raise DatasetError(f"Cannot list {folder}: {error.strerror}. Check its permissions.") from None
            for entry in entries:
                name = prefix + entry.name
                if _is_junk(name):
                    continue
                if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(self._real):
                    raise _refused(root, name, "is a link that leads out of the folder", "Put the file itself there.")
                if entry.is_dir(follow_symlinks=False):
                    folders.append((Path(entry.path), name + "/"))
                elif entry.is_file():
                    yield name
                elif not entry.is_dir():
                    raise _refused(root, name, "is no regular file", "Remove it.")


class _ZipTree:
    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        weakref.finalize(self, self._zip.close)
        entries = self._zip.infolist()
        listing = _Listing(path)
        for entry in entries:
            mode = stat.S_IFMT(entry.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, entry.filename, "is a link" if stat.S_ISLNK(mode) else "is a device")
            if not entry.is_dir():
                # zipfile cuts a name at a NUL and turns backslashes on some systems; the name as written is judged.
                listing.add(entry.orig_filename, entry.file_size)
        self._check_extents(path, entries)
        self._entries = {entry.filename: entry for entry in entries if entry.filename in listing.names}

    def names(self) -> Iterable[str]:
        return iter(self._entries)

    def head(self, name: str, count: int) -> bytes:
        with self._zip.open(self._entry(name)) as file:
            return file.read(count)

    def read(self, name: str, limit: int | None = None) -> bytes:
        entry = self._entry(name)
        # zipfile never returns more than the size an entry claims, so the claim is what has to be checked.
        _check_size(entry.file_size, limit)
        return self._zip.read(entry)

    def copy(self, name: str, target: BinaryIO) -> None:
        with self._zip.open(self._entry(name)) as file:
            shutil.copyfileobj(file, target, _CHUNK_BYTES)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries[name]
        if entry.flag_bits & _ENCRYPTED:
            raise ValueError("is encrypted; unpack the archive with its password and give the folder")
        return entry

    def _check_extents(self, path: Path, entries: list[zipfile.ZipInfo]) -> None:
        """Entries that share bytes let a small archive stand for a huge tree."""
        by_place = sorted(entries, key=lambda entry: entry.header_offset)
        starts = [*(entry.header_offset for entry in by_place[1:]), self._zip.start_dir]
        for entry, limit in zip(by_place, starts, strict=True):
            end = entry.header_offset + _LOCAL_HEADER_BYTES + len(entry.orig_filename) + entry.compress_size
            if end > limit:
                raise _refused(path, entry.filename, "shares its bytes with another entry")


class _TarTree:
    def __init__(self, path: Path, kind: str) -> None:
        self._lock = threading.Lock()
        self._file = path.open("rb") if kind == "tar" else _unpacked(path)
        weakref.finalize(self, self._file.close)
        self._extents = self._list(path)

    def names(self) -> Iterable[str]:
        return iter(self._extents)

    def head(self, name: str, count: int) -> bytes:
        start, size = self._extents[name]
        return self._at(start, min(count, size))

    def read(self, name: str, limit: int | None = None) -> bytes:
        start, size = self._extents[name]
        _check_size(size, limit)
        return self._at(start, size)

    def copy(self, name: str, target: BinaryIO) -> None:
        start, size = self._extents[name]
        for done in range(0, size, _CHUNK_BYTES):
            target.write(self._at(start + done, min(_CHUNK_BYTES, size - done)))

    def _at(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            data = self._file.read(size)
        if len(data) != size:
            raise EOFError("is cut off")
        return data

    def _list(self, path: Path) -> dict[str, tuple[int, int]]:
        """Return where the bytes of each file start, and how many they are."""
        listing, extents, end = _Listing(path), {}, 0
        size_bytes = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        with tarfile.open(fileobj=_ShortReads(self._file), mode="r:") as archive:  # type: ignore[call-overload]
            for member in archive:
                if not (member.isreg() or member.isdir()) or member.issparse():
                    raise _refused(path, member.name, _tar_kind(member))
                size = member.size if member.isreg() else 0
                if member.offset < end or size < 0 or member.offset_data + size > size_bytes:
                    raise tarfile.ReadError(f"{_shown(member.name)} lies outside the archive or over another entry")
                end = member.offset_data + -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
                if member.isreg() and listing.add(member.name, size):
                    extents[member.name] = (member.offset_data, size)
        # tarfile takes a damaged header for the end; a true end is zeros.
        self._file.seek(end)
        if self._file.read(_BLOCK_BYTES).strip(b"\0"):
            raise tarfile.ReadError(f"the header at byte {end:,} is damaged")
        return extents


class _Listing:
    """The names of an archive, judged as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most = _most_bytes(path)
        self._total = 0
        self._plain: set[str] = set()
        self.names: set[str] = set()

    def add(self, name: str, size: int) -> bool:
        """Add an entry and return whether it counts; what macOS leaves behind does not."""
        self._total += size
        if self._total > self._most or len(self._plain) >= MAX_ENTRIES:
            raise _too_much(self._path, self._most)
        reason = _why_unsafe(name)
        if reason:
            raise _refused(self._path, name, reason)
        if _is_junk(name):
            return False
        plain = "/".join(part for part in name.split("/") if part not in ("", "."))
        if plain in self._plain:
            raise _refused(self._path, name, "occurs twice")
        self._plain.add(plain)
        self.names.add(name)
        return True


class _ShortReads:
    """A file for tarfile, which would otherwise read a header of any size that the archive claims."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"has a header of {size:,} bytes, more than the {_MAX_HEADER_BYTES:,} allowed")
        return self._file.read(size)


def _why_unsafe(name: str) -> str:
    """Say why a name in an archive cannot be that of a file below some folder, or ""."""
    if not name:
        return "has no name"
    if any(char < " " or char == "\x7f" for char in name):
        return "has a name with control characters"
    if "\\" in name:
        return "has a name with a backslash"
    if name.startswith("/") or _DRIVE.match(name):
        return "has an absolute path"
    return "has a path that leads upwards" if ".." in name.split("/") else ""


def _unpacked(path: Path) -> BinaryIO:
    """Unpack a compressed tar into a file without a name, which vanishes with the process."""
    target: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the tree
    try:
        most, written = _most_bytes(path), 0
        for chunk in _chunks(path):
            written += len(chunk)
            if written > most:
                raise _too_much(path, most)
            try:
                target.write(chunk)
            except OSError as error:
                raise storage_error(f"unpack {path} in {tempfile.gettempdir()}", error) from error
    except BaseException:
        target.close()
        raise
    return target


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield what a compressed file holds; raises ValueError where it is damaged."""
    import bz2
    import gzip
    import lzma

    with path.open("rb") as raw:
        head = raw.read(6)
        raw.seek(0)
        try:
            if head.startswith(b"\xfd7zXZ"):
                yield from _unxz(raw)
                return
            with gzip.GzipFile(fileobj=raw) if head.startswith(b"\x1f\x8b") else bz2.BZ2File(raw) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise ValueError(str(error)) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(str(error)) from None  # bz2 calls damaged data an OSError


def _unxz(raw: BinaryIO) -> Iterator[bytes]:
    """Unpack xz with a bound on memory, which `lzma.open` lacks: a header may ask for 4 GiB."""
    import lzma

    data = raw.read(_CHUNK_BYTES)
    while data:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        while not unpacker.eof:
            if unpacker.needs_input and not data:
                data = raw.read(_CHUNK_BYTES)
                if not data:
                    raise ValueError("ends before the end of its stream")
            yield unpacker.decompress(data, _CHUNK_BYTES)
            data = b""
        # Streams may follow each other, with zeros between.
        data = unpacker.unused_data.lstrip(b"\0") or raw.read(_CHUNK_BYTES).lstrip(b"\0")


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "is a link"
    return "is a sparse file" if member.issparse() else "is a device or of an unknown kind"


def _most_bytes(path: Path) -> int:
    return min(MAX_TOTAL_BYTES, path.stat().st_size * MAX_RATIO + FREE_BYTES)


def _too_much(path: Path, most: int) -> DatasetError:
    return DatasetError(
        f"{path} unpacks to more than {most:,} bytes or {MAX_ENTRIES:,} files. Received {path.stat().st_size:,} bytes; "
        f"allowed: {MAX_RATIO} times that, and {MAX_TOTAL_BYTES:,} bytes in all. If you trust it, unpack it yourself "
        "and give the folder."
    )


def _refused(source: Path, name: str, why: str, advice: str = "") -> DatasetError:
    advice = advice or "A dataset has no need of that, so nothing of the archive is read."
    return DatasetError(f"{source}: '{_shown(name)}' {why}. {advice}")


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name[:200])


def _check_size(size_bytes: int, limit: int | None) -> None:
    most = MAX_FILE_BYTES if limit is None else limit
    if size_bytes > most:
        raise ValueError(f"is {size_bytes:,} bytes large, more than the {most:,} allowed")


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1] == ".DS_Store" or parts[-1].startswith("._")
