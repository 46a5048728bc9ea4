"""Makes a prepared dataset: under a temporary name, renamed when everything is there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from filelock import FileLock

from lungzoo import locks
from lungzoo.data.case import Slice, VolumeInfo
from lungzoo.data.geometry import Geometry
from lungzoo.data.store import ARRAYS, DTYPES, FILES, FORMAT_VERSION, fingerprint_of, sha256_of
from lungzoo.errors import DatasetError, ImportRefused, storage_error
from lungzoo.events import Progress

if TYPE_CHECKING:
    from lungzoo.data.readers import Reader

_HEADER_BYTES = 128
_UNIT = Geometry(((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)))
_NOWHERE = VolumeInfo("", (0, 0, 0), _UNIT, _UNIT)


class StoreWriter:
    """Writes a prepared dataset under a temporary name and renames it when everything is there.

    Leaving the `with` block by an exception removes what was written. Two writers cannot share a destination.
    """

    def __init__(self, dest: Path | str, units: str) -> None:
        self.dest = Path(dest)
        self._dtype = DTYPES[units]
        self._units = units
        self._partial = self.dest.parent / f".{self.dest.name}.partial"
        self._lock: FileLock | None = None
        self._files: dict[str, BinaryIO] = {}
        self._shape: tuple[int, int] | None = None
        self._rows: list[dict[str, object]] = []
        self._volumes: dict[str, VolumeInfo] = {}
        self._digests: dict[str, str] = {}
        self.faults: list[str] = []

    def __enter__(self) -> StoreWriter:
        try:
            self.dest.parent.mkdir(parents=True, exist_ok=True)
            self._lock = locks.acquire(
                self.dest.parent / f".{self.dest.name}.lock",
                f"Another process is writing {self.dest}. Wait for it, or choose another destination.",
            )
            if self.dest.exists():
                raise DatasetError(f"{self.dest} exists already. Choose another name, or delete it first.")
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir()
            for name in ARRAYS:
                self._files[name] = (self._partial / name).open("wb")
                self._files[name].write(bytes(_HEADER_BYTES))
        except BaseException as error:
            self._abandon()
            if isinstance(error, OSError):
                raise storage_error("write the dataset", error) from error
            raise
        return self

    def add(self, item: Slice) -> None:
        """Append one slice. One whose size differs from the first is kept out and listed in `faults`."""
        shape = item.image.shape
        if len(shape) != 2 or item.mask.shape != shape or self._shape not in (None, shape):
            expected = self._shape or shape
            self.faults.append(
                f"{item.case.source}: image {shape} and mask {item.mask.shape}, expected {expected} for both"
            )
            return
        self._shape = shape
        try:
            self._files["images.npy"].write(np.ascontiguousarray(item.image, self._dtype).data)
            self._files["masks.npy"].write(np.ascontiguousarray(item.mask, np.uint8).data)
        except OSError as error:
            raise storage_error("write the dataset", error) from error
        self._rows.append(item.case.row())
        if item.volume is not None:
            self._volumes.setdefault(item.volume.volume, item.volume)

    def commit(self, source: dict[str, Any]) -> None:
        """Write the case table and `dataset.json`, check them, and give the folder its name.

        Args:
            source: reader, title, licence, citation, window, mask_bits, as they go into `dataset.json`; and
                `patients_known` False where the source names no patients.

        Raises:
            DatasetError: nothing was added, or a case name occurs twice.
        """
        if self._shape is None:
            raise DatasetError(f"{source.get('reader', 'The source')}: no slices found. Nothing was written.")
        try:
            shape = (len(self._rows), *self._shape)
            for name, dtype in zip(ARRAYS, (self._dtype, np.dtype("u1")), strict=True):
                self._finish_array(name, shape, dtype)
            self._write_tables()
            self._write_info(shape, source)
            os.rename(self._partial, self.dest)
        except OSError as error:
            raise storage_error("write the dataset", error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def _abandon(self) -> None:
        for file in self._files.values():
            try:
                file.close()
            except OSError:
                continue  # a full disk fails again while flushing; the first error is the one reported
        if self._lock is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            locks.release(self._lock, remove=True)
            self._lock = None

    def _finish_array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        header = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
        body = header.ljust(_HEADER_BYTES - 11) + "\n"
        file = self._files[name]
        file.seek(0)
        file.write(b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + body.encode("latin1"))
        file.flush()
        os.fsync(file.fileno())
        file.close()

    def _write_tables(self) -> None:
        import pandas as pd

        cases = pd.DataFrame(self._rows)
        twice = cases["case"][cases["case"].duplicated()]
        if len(twice):
            raise DatasetError(f"The case '{twice.iloc[0]}' occurs more than once. Nothing was written.")
        columns = list(_NOWHERE.row())
        volumes = pd.DataFrame([info.row() for info in self._volumes.values()], columns=columns)
        for name, table in {"cases.parquet": cases, "volumes.parquet": volumes}.items():
            table.to_parquet(self._partial / name, index=False)
            csv = table.to_csv(index=False, lineterminator="\n")
            self._digests[name] = hashlib.sha256(csv.encode()).hexdigest()

    def _write_info(self, shape: tuple[int, ...], source: dict[str, Any]) -> None:
        info = {
            "format_version": FORMAT_VERSION,
            "units": self._units,
            "shape": list(shape),
            **source,
            "sha256": {name: sha256_of(self._partial / name) for name in FILES},
            "content_sha256": self._digests,
        }
        info["fingerprint"] = fingerprint_of(info)
        (self._partial / "dataset.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def check_destination(dest: Path | str, source: Path) -> None:
    """Raise DatasetError where a dataset cannot be made at `dest`: it exists, or lies within a source folder."""
    dest = Path(dest)
    if dest.exists():
        raise DatasetError(f"{dest} exists already. Choose another name, or delete it first.")
    if source.is_dir() and dest.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"{dest} lies within the source {source}, which is only read. Choose a folder outside it.")


def import_dataset(
    reader: Reader,
    reader_name: str,
    dest: Path | str,
    progress: Progress | None = None,
    skip_faulty: bool = False,
) -> list[str]:
    """Read every slice of a source into a new prepared dataset.

    Args:
        reader: the opened source.
        reader_name: its registry name, recorded in `dataset.json`.
        dest: folder to make; it must not exist.
        progress: called with (slices or volumes done, in all).
        skip_faulty: import what is sound of a source with faults, and record the faults.

    Returns:
        The faults that were skipped.

    Raises:
        ImportRefused: files of the source are faulty; all are named and `dest` was not made.
        DatasetError: `dest` exists.
        StorageError: `dest` cannot be written.
        BusyError: another process is writing `dest`.
    """
    with StoreWriter(dest, reader.units) as writer:
        faults = writer.faults
        try:
            for item in reader:
                writer.add(item)
                if progress:
                    progress(reader.done, len(reader))
        except ImportRefused as refused:
            faults += refused.faults
        if faults and not skip_faulty:
            raise ImportRefused(reader_name, faults)
        writer.commit(
            {
                "reader": reader_name,
                "title": reader.title,
                "licence": reader.licence,
                "citation": reader.citation,
                "window": reader.window,
                "mask_bits": list(reader.mask_bits),
                **({} if reader.patients_known else {"patients_known": False}),
                "settings": reader.settings,
                "notes": reader.notes,
                "skipped_faults": faults,
            }
        )
    return faults
