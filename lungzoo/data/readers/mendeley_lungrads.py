"""The "Lung cancer segmentation dataset with Lung-RADS class": pickled tables of CT slices in HU."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

import numpy as np

from lungzoo.data.case import Case, Slice
from lungzoo.data.pickles.table import Other, PickledTable, StoredArray
from lungzoo.data.readers import READERS, Reader
from lungzoo.data.source_tree import READ_ERRORS, SourceTree, open_tree
from lungzoo.errors import ConfigError, DatasetError, ImportRefused, did_you_mean, storage_error
from lungzoo.schema import Option

LAYOUT = "a .pkl file, or a folder, zip or tar with lung_cancer_train.pkl and lung_cancer_test.pkl"
ARRAYS = ("hu_array", "hu_array_old")
COLUMNS = ("label1", "mask", *ARRAYS)
LABELS = ("LR2", "LR3", "LR4A", "LR4B")
AIR_HU = -1024
# A lung mask that worked leaves the chest wall out; one that failed leaves the slice as it was.
WHOLE_SLICE_SHARE = 0.99
_ENDINGS = (".pkl", ".pickle")
_SPLIT = re.compile(r"(?<![a-z])(train|test)(?![a-z])")


@dataclass(frozen=True)
class _Part:
    """One pickle: what messages call it, its published split, what its rows are called, and its table."""

    name: str
    split: str
    prefix: str
    table: PickledTable


@READERS.register("mendeley-lungrads")
class MendeleyLungRadsReader(Reader):
    """Reads the pickled tables `lung_cancer_train.pkl` and `lung_cancer_test.pkl` without running what is in them.

    The set names no patients, so every row is a patient of its own, called by its split and its number from 0, as
    `train-0000`; splits keep near-duplicate rows together instead, and can miss slices of one person. HU below −1024
    (padding) become −1024.

    Extra columns: `published_split` ("train" or "test" by the file's name, "" if it says neither) and `lung_mask`: the
    authors multiplied `hu_array` by an automatic lung mask. It is "failed" where `hu_array` equals `hu_array_old` on at
    least 99% of the pixels whose HU is not 0 (the whole slice is there), "empty" where nothing is left, else "ok".

    Args:
        source: .pkl file, or a folder, zip or tar with such files.
        options: `array`, which column is the image: "hu_array" (0 outside the lung) or "hu_array_old" (the slice).

    Raises:
        DatasetError: the source is missing, holds no pickle, or one that is no such table.
    """

    title = "Lung cancer segmentation dataset with Lung-RADS class"
    # Mendeley Data's default; the page of the set is the authority.
    licence = "unknown; see doi:10.17632/5rr22hgzwr.1"
    citation = (
        "Nam, Panina and Pak, Lung cancer segmentation dataset with Lung-RADS class, Mendeley Data, V1, 2024, "
        "doi:10.17632/5rr22hgzwr.1"
    )
    units: Literal["hu", "uint8"] = "hu"
    mask_bits: tuple[str, ...] = ("lesion",)
    patients_known = False
    options: Mapping[str, Option] = {"array": ARRAYS[0]}  # type: ignore[misc]

    def __init__(self, source: Path, options: Mapping[str, Option] | None = None) -> None:
        super().__init__(source, options)
        self._array = str(self.settings["array"])
        if self._array not in ARRAYS:
            raise ConfigError(
                f"array must say which column is the image. Received: '{self._array}'."
                f"{did_you_mean(self._array, ARRAYS)} Allowed: {', '.join(ARRAYS)}."
            )
        self.window = "none: HU" + (", 0 outside an automatic lung mask" if self._array == ARRAYS[0] else "")
        self._parts = [_checked(part) for part in _open_parts(self.source)]
        _check_distinct(self.source, self._parts)
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(part.table.rows for part in self._parts)

    def __iter__(self) -> Iterator[Slice]:
        self.done = 0
        self._counts.clear()
        faults = []
        for part in self._parts:
            for row in range(part.table.rows):
                self.done += 1
                try:
                    item = self._read(part, row)
                except DatasetError as error:
                    faults.append(f"{part.name}, row {row}: {error}")
                else:
                    yield item
        self.notes[:] = self._remarks()
        if faults:
            raise ImportRefused(str(self.source), faults)

    def preview(self) -> dict[str, Any]:
        """See `Reader.preview`."""
        labels = Counter(str(cell) for part in self._parts for cell in part.table.columns["label1"])
        return {
            "files": ", ".join(f"{part.name} ({part.table.rows} rows)" for part in self._parts),
            "patients": "not named; each row counts as one",
            "slices": len(self),
            "labels": ", ".join(f"{label} {count}" for label, count in sorted(labels.items())),
            "image": self._array,
        }

    def _read(self, part: _Part, row: int) -> Slice:
        cells = {column: part.table.columns[column][row] for column in COLUMNS}
        label = cells["label1"]
        if label not in LABELS:
            raise DatasetError(f"label1 is {_named(label)}. Allowed: {', '.join(LABELS)}.")
        planes = {name: _plane(name, cells[name]) for name in COLUMNS[1:]}
        for name, plane in planes.items():
            if plane.shape != planes[self._array].shape:
                raise DatasetError(f"{name} is {_size(plane)}, but {self._array} is {_size(planes[self._array])}")
        mask = _to_mask(planes["mask"])
        hu = {name: _to_hu(name, planes[name]) for name in ARRAYS}
        lung_mask = judge_lung_mask(hu["hu_array"], hu["hu_array_old"])
        self._count(planes[self._array], mask, lung_mask)
        name = f"{part.prefix}-{row:04d}"
        extra: dict[str, float | int | str] = {"published_split": part.split, "lung_mask": lung_mask}
        case = Case(name, name, name, 0, label=str(label), source=f"{part.name}#{row}", extra=extra)
        return Slice(hu[self._array], mask, case)

    def _count(self, plane: np.ndarray, mask: np.ndarray, lung_mask: str) -> None:
        below = int(np.count_nonzero(plane < AIR_HU))
        fractions = plane.dtype.kind == "f" and bool((plane != np.rint(plane)).any())
        self._counts.update(
            {
                "values clipped": below,
                "rows clipped": int(below > 0),
                "rows rounded": int(fractions),
                "empty": int(not mask.any()),
                f"lung mask {lung_mask}": 1,
            }
        )

    def _remarks(self) -> list[str]:
        counts = self._counts
        remarks = {
            "rows clipped": f"{counts['values clipped']:,} values below {AIR_HU} HU (padding) in "
            f"{counts['rows clipped']} row(s) were set to {AIR_HU} HU",
            "rows rounded": f"{counts['rows rounded']} row(s) had fractions of a HU, which were rounded",
            "empty": f"{counts['empty']} row(s) have an empty mask",
            "lung mask failed": f"in {counts['lung mask failed']} row(s) the authors' lung mask failed: the whole "
            f"slice is in hu_array (it equals hu_array_old on at least {WHOLE_SLICE_SHARE:.0%} of the pixels that are "
            "not 0 HU)",
            "lung mask empty": f"in {counts['lung mask empty']} row(s) the authors' lung mask left nothing in hu_array",
        }
        named = (
            "The source names no patients: each row counts as one. Splits keep near-duplicate slices together; other "
            "slices of one person may still be in two parts"
        )
        return [*(text for key, text in remarks.items() if counts[key]), named]


def judge_lung_mask(hu: np.ndarray, whole_hu: np.ndarray) -> str:
    """Say how the lung mask of a slice turned out.

    Args:
        hu: (H, W) in HU, 0 outside the lung mask.
        whole_hu: (H, W) the same slice without it.

    Returns:
        "failed" where the whole slice is there, "empty" where nothing is, else "ok". A pixel of 0 HU tells nothing.
    """
    if not hu.any():
        return "empty"
    telling = whole_hu != 0
    kept = np.count_nonzero(telling & (hu == whole_hu))
    return "failed" if kept >= WHOLE_SLICE_SHARE * np.count_nonzero(telling) else "ok"


def _open_parts(source: Path) -> Iterator[_Part]:
    if source.is_file() and source.suffix.lower() in _ENDINGS:
        yield _part(source.name, str(source), _opened_file(source))
        return
    tree = open_tree(source, LAYOUT)
    names = sorted(name for name in tree.names() if name.lower().endswith(_ENDINGS))
    if not names:
        first = ", ".join(sorted(tree.names())[:3])
        received = f"files such as {first}" if first else "no files"
        raise DatasetError(f"{source} holds no pickle. Received {received}; expected {LAYOUT}.")
    for name in names:
        yield _part(name, f"{name} in {source}", _opened(tree, source, name))


def _opened(tree: SourceTree, source: Path, name: str) -> BinaryIO:
    """Open a pickle of a folder, or unpack it into a file without a name, which vanishes with the process."""
    if source.is_dir():
        return _opened_file(source / name)
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the table
    try:
        tree.copy(name, file)
    except OSError as error:
        file.close()
        raise storage_error(f"unpack {name} in {tempfile.gettempdir()}", error) from error
    except READ_ERRORS as error:
        file.close()
        raise DatasetError(f"{source}: {name}: {error}. Fetch the archive again, or unpack it yourself.") from None
    return file


def _opened_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error.strerror or error}. Check its permissions.") from None


def _part(name: str, shown: str, file: BinaryIO) -> _Part:
    stem = PurePosixPath(name).stem
    found = set(_SPLIT.findall(stem.lower()))
    split = found.pop() if len(found) == 1 else ""
    return _Part(name, split, split or stem, PickledTable(file, shown))


def _checked(part: _Part) -> _Part:
    missing = [column for column in COLUMNS if column not in part.table.columns]
    if missing:
        there = ", ".join(list(part.table.columns)[:20]) or "none"
        raise DatasetError(
            f"{part.name} lacks the columns {', '.join(missing)}. Received the columns {there}; expected "
            f"{', '.join(COLUMNS)}."
        )
    return part


def _check_distinct(source: Path, parts: list[_Part]) -> None:
    names: dict[str, str] = {}
    for part in parts:
        if part.prefix in names:
            raise DatasetError(
                f"{source} holds two pickles whose rows would be called '{part.prefix}-0000': {names[part.prefix]} and "
                f"{part.name}. Give a source with one of each split."
            )
        names[part.prefix] = part.name


def _plane(column: str, cell: str | StoredArray | Other) -> np.ndarray:
    """Read an array of a row as (H, W); a leading or trailing axis of one is dropped."""
    if not isinstance(cell, StoredArray):
        raise DatasetError(f"{column} is {_named(cell)}, expected an array of numbers")
    array = cell.read()
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[:, :, 0]
    if array.ndim != 2 or not array.size:
        raise DatasetError(f"{column} has shape {cell.shape}, expected (H, W), (1, H, W) or (H, W, 1)")
    return array


def _to_mask(plane: np.ndarray) -> np.ndarray:
    values = plane.view(np.uint8) if plane.dtype == bool else plane
    other = (values != 0) & (values != 1)
    if other.any():
        raise DatasetError(f"mask has values other than 0 and 1, such as {values[other][0]}")
    return values.astype(np.uint8)


def _to_hu(column: str, plane: np.ndarray) -> np.ndarray:
    if plane.dtype == bool:
        raise DatasetError(f"{column} is an array of true and false, expected HU")
    if plane.dtype.kind == "f":
        bad = int(plane.size - np.count_nonzero(np.isfinite(plane)))
        if bad:
            raise DatasetError(f"{column} has {bad:,} values that are NaN or infinite")
    lowest, highest = plane.min(), plane.max()
    if lowest < -(2**15) or highest > 2**15 - 1:
        raise DatasetError(f"{column} has values from {lowest:g} to {highest:g}, which are no HU")
    whole = (np.rint(plane) if plane.dtype.kind == "f" else plane).astype(np.int16)
    return np.maximum(whole, np.int16(AIR_HU))


def _named(cell: str | StoredArray | Other) -> str:
    if isinstance(cell, StoredArray):
        return f"an array of shape {cell.shape}"
    return cell.what if isinstance(cell, Other) else f"'{cell[:40]}'"


def _size(plane: np.ndarray) -> str:
    return "×".join(map(str, plane.shape))
