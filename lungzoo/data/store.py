"""The prepared dataset: a folder of memory-mapped arrays, written once and read by everything.

images.npy     int16 HU or uint8, (N, H, W)
masks.npy      uint8, (N, H, W); bit n is set where reader n drew
cases.parquet  one row per slice, in the order of the arrays
dataset.json   format version, source, licence, citation, units, sha256 of each file, fingerprint
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from filelock import FileLock

from lungzoo import locks
from lungzoo.data.case import Slice
from lungzoo.errors import DatasetError, ImportRefused, StorageError, storage_error

if TYPE_CHECKING:
    import pandas as pd

    from lungzoo.data.readers import Reader

FORMAT_VERSION = 1
FILES = ("images.npy", "masks.npy", "cases.parquet")
COLUMNS = (
    *("case", "patient", "volume", "z", "label", "readers", "source"),
    *("spacing_z_mm", "spacing_y_mm", "spacing_x_mm"),
)
_DTYPES: dict[str, np.dtype[Any]] = {"hu": np.dtype("<i2"), "uint8": np.dtype("u1")}
_HEADER_BYTES = 128

Progress = Callable[[int, int], None]


class PreparedDataset:
    """A prepared dataset opened for reading; arrays stay on disk until they are indexed.

    Args:
        path: the dataset folder.
        verify: also compare each file with its recorded sha256.

    Raises:
        DatasetError: the folder is missing, half-written, of another version, or its files disagree.
    """

    def __init__(self, path: Path | str, verify: bool = True) -> None:
        self.path = Path(path)
        self.info = _read_info(self.path)
        if verify:
            self._verify_hashes()
        self.images = self._load_array("images.npy", _DTYPES[self.info["units"]])
        self.masks = self._load_array("masks.npy", np.dtype("u1"))
        self.cases = self._load_cases()
        if not len(self.images) == len(self.masks) == len(self.cases):
            raise DatasetError(
                f"{self.path}: images, masks and cases disagree: {len(self.images)}, {len(self.masks)} and "
                f"{len(self.cases)} rows. Import the dataset again."
            )

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def fingerprint(self) -> str:
        """Identity of the content, 64 hex digits; the folder's name and place do not enter it."""
        return str(self.info["fingerprint"])

    @property
    def units(self) -> str:
        """ "hu" or "uint8"."""
        return str(self.info["units"])

    @property
    def mask_bits(self) -> tuple[str, ...]:
        """Names of the readers who drew, one per mask bit."""
        return tuple(self.info["mask_bits"])

    def __len__(self) -> int:
        return len(self.images)

    def consensus(self, rows: np.ndarray, min_readers: int) -> np.ndarray:
        """Return lesion masks `(n, H, W)` uint8 {0, 1} of the given rows.

        A pixel is lesion where at least `min_readers` readers drew it, or all of them where the dataset has
        fewer readers than that.
        """
        bits = np.asarray(self.masks[rows])
        needed = min(min_readers, len(self.mask_bits))
        return (np.bitwise_count(bits) >= needed).astype(np.uint8)

    def disputed(self, min_readers: int) -> np.ndarray:
        """Return bool (N,): some reader drew on the slice, but no pixel has `min_readers` of them."""
        answer = np.zeros(len(self), bool)
        for start in range(0, len(self), 256):
            rows = np.arange(start, min(start + 256, len(self)))
            drawn = np.asarray(self.masks[rows]).any(axis=(1, 2))
            answer[rows] = drawn & ~self.consensus(rows, min_readers).any(axis=(1, 2))
        return answer

    def _load_array(self, name: str, dtype: np.dtype[Any]) -> np.ndarray:
        try:
            array = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{self.path / name} is damaged: {error}. Import the dataset again.") from None
        shape = tuple(self.info["shape"])
        if array.shape != shape or array.dtype != dtype:
            raise DatasetError(
                f"{self.path / name}: received {array.dtype} {array.shape}, but dataset.json says {dtype} "
                f"{shape}. Import the dataset again."
            )
        return array

    def _load_cases(self) -> pd.DataFrame:
        import pandas as pd

        try:
            cases = pd.read_parquet(self.path / "cases.parquet")
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{self.path / 'cases.parquet'} is damaged: {error}. Import the dataset again."
            ) from None
        missing = [column for column in COLUMNS if column not in cases]
        if missing:
            raise DatasetError(f"{self.path / 'cases.parquet'} lacks the columns {', '.join(missing)}.")
        return cases

    def _verify_hashes(self) -> None:
        for name, expected in self.info["sha256"].items():
            if _sha256(self.path / name) != expected:
                raise DatasetError(
                    f"{self.path / name} is not what was imported (its sha256 differs). Import the dataset again."
                )


class StoreWriter:
    """Writes a prepared dataset under a temporary name and renames it when everything is there.

    Leaving the `with` block by an exception removes what was written. Two writers cannot share a destination.
    """

    def __init__(self, dest: Path | str, units: str) -> None:
        self.dest = Path(dest)
        self._dtype = _DTYPES[units]
        self._units = units
        self._partial = self.dest.parent / f".{self.dest.name}.partial"
        self._lock: FileLock | None = None
        self._files: dict[str, BinaryIO] = {}
        self._shape: tuple[int, int] | None = None
        self._rows: list[dict[str, object]] = []
        self._cases_digest = ""
        self.faults: list[str] = []

    def __enter__(self) -> StoreWriter:
        try:
            self.dest.parent.mkdir(parents=True, exist_ok=True)
            self._lock = locks.acquire(
                self.dest.parent / f".{self.dest.name}.lock",
                f"Another process is writing {self.dest}. Wait for it, or choose another destination.",
            )
            if self.dest.exists():
                raise StorageError(f"{self.dest} exists already. Choose another name, or delete it first.")
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir()
            for name in FILES[:2]:
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

    def commit(self, source: dict[str, Any]) -> None:
        """Write the case table and `dataset.json`, check them, and give the folder its name.

        Args:
            source: reader, title, licence, citation, window, mask_bits, as they go into `dataset.json`.

        Raises:
            DatasetError: nothing was added, or a case name occurs twice.
        """
        if self._shape is None:
            raise DatasetError(f"{source.get('reader', 'The source')}: no slices found. Nothing was written.")
        try:
            shape = (len(self._rows), *self._shape)
            for name, dtype in zip(FILES[:2], (self._dtype, np.dtype("u1")), strict=True):
                self._finish_array(name, shape, dtype)
            self._write_cases()
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

    def _write_cases(self) -> None:
        import pandas as pd

        cases = pd.DataFrame(self._rows)
        twice = cases["case"][cases["case"].duplicated()]
        if len(twice):
            raise DatasetError(f"The case '{twice.iloc[0]}' occurs more than once. Nothing was written.")
        cases.to_parquet(self._partial / "cases.parquet", index=False)
        # The bytes of a parquet file change with the library's version; its content as CSV does not.
        csv = cases.to_csv(index=False, lineterminator="\n")
        self._cases_digest = hashlib.sha256(csv.encode()).hexdigest()

    def _write_info(self, shape: tuple[int, ...], source: dict[str, Any]) -> None:
        sha256 = {name: _sha256(self._partial / name) for name in FILES}
        identity = {
            "format_version": FORMAT_VERSION,
            "units": self._units,
            "shape": list(shape),
            "mask_bits": source["mask_bits"],
            "sha256": {**sha256, "cases.parquet": self._cases_digest},
        }
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        fingerprint = hashlib.sha256(canonical.encode()).hexdigest()
        info = {**identity, **source, "sha256": sha256, "fingerprint": fingerprint}
        (self._partial / "dataset.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def import_dataset(reader: Reader, reader_name: str, dest: Path | str, progress: Progress | None = None) -> None:
    """Read every slice of a source into a new prepared dataset.

    Args:
        reader: the opened source.
        reader_name: its registry name, recorded in `dataset.json`.
        dest: folder to make; it must not exist.
        progress: called with (slices done, slices in all).

    Raises:
        ImportRefused: files of the source are faulty; all are named and `dest` was not made.
        StorageError: `dest` exists or cannot be written.
        BusyError: another process is writing `dest`.
    """
    with StoreWriter(dest, reader.units) as writer:
        try:
            for done, item in enumerate(reader, start=1):
                writer.add(item)
                if progress:
                    progress(done, len(reader))
        except ImportRefused as refused:
            raise ImportRefused(reader_name, [*writer.faults, *refused.faults]) from None
        if writer.faults:
            raise ImportRefused(reader_name, writer.faults)
        writer.commit(
            {
                "reader": reader_name,
                "title": reader.title,
                "licence": reader.licence,
                "citation": reader.citation,
                "window": reader.window,
                "mask_bits": list(reader.mask_bits),
            }
        )


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise DatasetError(f"No dataset folder at {path}. Make one with: lungzoo data phantom {path}")
    missing = [name for name in ("dataset.json", *FILES) if not (path / name).is_file()]
    if missing:
        raise DatasetError(
            f"{path} is not a prepared dataset: it lacks {', '.join(missing)}. "
            "Make one with 'lungzoo data import' or 'lungzoo data phantom'."
        )
    try:
        info = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
        version = info["format_version"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DatasetError(f"{path / 'dataset.json'} is damaged. Import the dataset again.") from None
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {version}; this lungzoo reads version {FORMAT_VERSION}. Import it again."
        )
    if not _is_complete(info):
        raise DatasetError(f"{path / 'dataset.json'} is incomplete. Import the dataset again.")
    return dict(info)


def _is_complete(info: dict[str, Any]) -> bool:
    shape, sha256 = info.get("shape"), info.get("sha256")
    return (
        info.get("units") in list(_DTYPES)
        and isinstance(shape, list)
        and isinstance(info.get("mask_bits"), list)
        and isinstance(info.get("fingerprint"), str)
        and isinstance(sha256, dict)
        and set(sha256) == set(FILES)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
