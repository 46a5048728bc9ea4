"""The prepared dataset: a folder of memory-mapped arrays, written once and read by everything.

images.npy     int16 HU or uint8, (N, H, W)
masks.npy      uint8, (N, H, W); bit n is set where reader n drew
cases.parquet  one row per slice, in the order of the arrays
volumes.parquet  one row per volume whose grid is known: size, affine in LPS mm, the affine of the source
dataset.json   format version, source, licence, citation, units, sha256 of each file, fingerprint
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 2
ARRAYS = ("images.npy", "masks.npy")
TABLES = ("cases.parquet", "volumes.parquet")
FILES = (*ARRAYS, *TABLES)
COLUMNS = (
    *("case", "patient", "volume", "z", "label", "readers", "source"),
    *("spacing_z_mm", "spacing_y_mm", "spacing_x_mm"),
)
_CHUNK_BYTES = 16 * 2**20  # of masks at a time, so that memory stays flat
DTYPES: dict[str, np.dtype[Any]] = {"hu": np.dtype("<i2"), "uint8": np.dtype("u1")}


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
        self._lesion_px: dict[int, np.ndarray] = {}
        self._shut: np.ndarray | None = None
        self.info = _read_info(self.path)
        if verify:
            self._verify_hashes()
        self.images = self._load_array("images.npy", DTYPES[self.info["units"]])
        self.masks = self._load_array("masks.npy", np.dtype("u1"))
        self.cases = self._load_cases()
        if not len(self.images) == len(self.masks) == len(self.cases):
            raise DatasetError(
                f"{self.path}: images, masks and cases disagree: {len(self.images)}, {len(self.masks)} and "
                f"{len(self.cases)} rows. Import the dataset again."
            )

    @cached_property
    def volumes(self) -> dict[str, VolumeInfo]:
        """Grids by the name of the volume; those without a known grid are absent."""
        rows = self._load_table("volumes.parquet").to_dict("records")
        known = [VolumeInfo.from_row({str(key): value for key, value in row.items()}) for row in rows]
        return {info.volume: info for info in known}

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

    @property
    def patients_known(self) -> bool:
        """False where the source names no patients, so that each image counts as one."""
        return self.info.get("patients_known", True) is not False

    def __len__(self) -> int:
        return len(self.images)

    def without(self, rows: np.ndarray) -> PreparedDataset:
        """Return the dataset with the masks of some rows left unread: for what is not to be looked at yet.

        Their lesion area is 0. Rows keep their numbers; that their images stay unread is up to the caller.
        """
        if self._shut is not None and self._shut[rows].all():
            return self
        other = copy.copy(self)
        other._lesion_px, other._shut = {}, np.zeros(len(self), bool)
        other._shut[rows] = True
        if self._shut is not None:
            other._shut |= self._shut
        return other

    def consensus(self, rows: np.ndarray, min_readers: int) -> np.ndarray:
        """Return lesion masks `(n, H, W)` uint8 {0, 1} of the given rows.

        A pixel is lesion where at least `min_readers` readers drew it, or all of them where the dataset has
        fewer readers than that. Rows that `without` shut raise DatasetError.
        """
        if self._shut is not None and self._shut[rows].any():
            raise DatasetError(f"{self.name}: masks of the test split were asked for, which is shut. This is a defect.")
        bits = np.asarray(self.masks[rows])
        return (np.bitwise_count(bits) >= self._needed(min_readers)).astype(np.uint8)

    def _needed(self, min_readers: int) -> int:
        return min(min_readers, len(self.mask_bits))

    def lesion_px(self, min_readers: int) -> np.ndarray:
        """Return int64 (N,): the lesion area of every slice in pixels, by the rule of `consensus`."""
        needed = self._needed(min_readers)
        if needed not in self._lesion_px:
            areas = np.zeros(len(self), np.int64)
            open_rows = np.arange(len(self)) if self._shut is None else np.flatnonzero(~self._shut)
            step = max(1, _CHUNK_BYTES // math.prod(self.masks.shape[1:]))
            for start in range(0, len(open_rows), step):
                rows = open_rows[start : start + step]
                areas[rows] = self.consensus(rows, needed).sum(axis=(1, 2), dtype=np.int64)
            self._lesion_px[needed] = areas
        return self._lesion_px[needed]

    def disputed(self, min_readers: int) -> np.ndarray:
        """Return bool (N,): some reader drew on the slice, but no pixel has `min_readers` of them."""
        return (self.lesion_px(1) > 0) & (self.lesion_px(min_readers) == 0)

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

    def _load_table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        try:
            return pd.read_parquet(self.path / name)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path / name} is damaged: {error}. Import the dataset again.") from None

    def _load_cases(self) -> pd.DataFrame:
        cases = self._load_table("cases.parquet")
        missing = [column for column in COLUMNS if column not in cases]
        if missing:
            raise DatasetError(f"{self.path / 'cases.parquet'} lacks the columns {', '.join(missing)}.")
        return cases

    def _verify_hashes(self) -> None:
        for name, expected in self.info["sha256"].items():
            if sha256_of(self.path / name) != expected:
                raise DatasetError(
                    f"{self.path / name} is not what was imported (its sha256 differs). Import the dataset again."
                )


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise DatasetError(
            f"No dataset folder at {path}. Check the path; make one of your own scans with lungzoo data import, or of "
            f"none with: lungzoo data phantom {path}"
        )
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
    if info.get("fingerprint") != fingerprint_of(info):
        raise DatasetError(f"{path / 'dataset.json'} was edited: its fingerprint is another. Import the dataset again.")
    return dict(info)


def _is_complete(info: dict[str, Any]) -> bool:
    shape, sha256 = info.get("shape"), info.get("sha256")
    return (
        info.get("units") in list(DTYPES)
        and isinstance(shape, list)
        and isinstance(info.get("mask_bits"), list)
        and isinstance(info.get("content_sha256"), dict)
        and set(info["content_sha256"]) == set(TABLES)
        and isinstance(sha256, dict)
        and set(sha256) == set(FILES)
    )


def fingerprint_of(info: dict[str, Any]) -> str:
    """Return the identity of a dataset's content, 64 hex digits.

    The bytes of a parquet file change with the library's version, so its content as CSV stands for it. That patients
    are unknown enters, because the dataset is split by something else then.
    """
    identity = {key: info[key] for key in ("format_version", "units", "shape", "mask_bits")}
    if info.get("patients_known") is False:
        identity["patients_known"] = False
    identity["sha256"] = {**info["sha256"], **info["content_sha256"]}
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
