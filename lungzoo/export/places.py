"""Where an exported file and what belongs to it are put: whole, and over nothing that is not meant."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lungzoo.data.files.write import check_writable
from lungzoo.errors import UsageError, storage_error
from lungzoo.export.contract import ExportFormat

_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Place:
    """Paths of an export.

    Args:
        out: the file or folder.
        beside: what else the format makes.
        sheet: the JSON file that says how to use it.
    """

    out: Path
    beside: tuple[Path, ...]
    sheet: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, the sheet last: where it is, the rest is."""
        return (self.out, *self.beside, self.sheet)


def place_of(out: Path, kind: ExportFormat, name: str, force: bool) -> Place:
    """Say where an export goes.

    Raises:
        UsageError: the name has another ending than the format's, something is there already, or the folder cannot be
            written.
    """
    if kind.suffix and out.suffix.lower() != kind.suffix:
        raise UsageError(f"The name of a file for --to {name} ends in {kind.suffix}. Received: {out}")
    if not out.name:
        raise UsageError(f"An export needs a name. Received: {out}. Give one such as {out / 'model'}.")
    place = Place(out, kind.beside(out), out.with_name(f"{out.name}.json"))
    for path in place.paths:
        _check_free(path, path == out and not kind.suffix, force)
    check_writable(out)
    return place


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Give a folder on the same disk as a path, which goes whatever happens; raises StorageError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=out.parent))
    except OSError as error:
        raise storage_error("write to", error) from error
    try:
        yield folder
    except OSError as error:
        raise storage_error("write the export to", error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put(scratch: Path, place: Place) -> None:
    """Give the files in a scratch folder their names; a folder that is replaced is there until the new one is."""
    for path in place.paths:
        made = scratch / path.name
        _flush(made)
        if not path.is_dir():
            made.replace(path)
            continue
        old = path.rename(scratch / f"{path.name}.old")
        try:
            made.rename(path)
        except BaseException:
            old.rename(path)
            raise


def _check_free(path: Path, is_folder: bool, force: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() != is_folder or (is_folder and any(path.iterdir()) and not (path / _SAVED_MODEL).is_file()):
        what = "another folder" if path.is_dir() else "a file"
        raise UsageError(f"{path} exists already and is {what}, which is not replaced. Choose another name.")
    if not force:
        raise UsageError(f"{path} exists already. Choose another name, or replace it with --force.")


def _flush(path: Path) -> None:
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
