"""The "LIDC-IDRI-slices" layout: nodule crops as PNGs with the masks of four radiologists."""

from __future__ import annotations

import csv
import io
import os
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lungzoo.data.case import Case, Slice
from lungzoo.data.malignancy import malignancy_label
from lungzoo.data.natural import natural
from lungzoo.data.readers import READERS, Reader
from lungzoo.data.source_tree import READ_ERRORS, open_tree
from lungzoo.errors import DatasetError, ImportRefused
from lungzoo.schema import Option

LAYOUT = (
    "a folder or zip with <patient>/nodule-k/images/slice-n.png and, for each of four readers, "
    "<patient>/nodule-k/mask-0/slice-n.png to mask-3"
)
READER_COUNT = 4
MAX_PIXELS = 4096 * 4096
_LOOK_AHEAD = 32
_FILE = re.compile(r"(?P<root>.*/)?(?P<patient>[^/]+)/nodule-(\d{1,9})/(images|mask-[0-3])/slice-(\d{1,9})\.png", re.I)
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_METADATA = {  # column of metadata.csv -> extra column
    "mal_median": "malignancy",
    "diameter_mm": "diameter_mm",
    "texture_median": "texture",
    "pixel_spacing_mm": "",
    "slice_thickness_mm": "",
}


@dataclass(frozen=True, order=True)
class _Key:
    """Where a slice belongs; sorts in natural order."""

    natural: tuple[tuple[int, int | str], ...]
    patient: str
    nodule: int
    z: int

    @property
    def name(self) -> str:
        return f"{self.patient}/nodule-{self.nodule}/slice-{self.z}"


@dataclass
class _Nodule:
    """One row of metadata.csv: numbers are NaN where blank."""

    numbers: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_METADATA, float("nan")))
    malignancy_readers: str = ""


@READERS.register("lidc-slices")
class LidcSlicesReader(Reader):
    """Reads LIDC-IDRI slices through nodules, with one mask per radiologist.

    The layout may lie at any depth of a folder or zip. The label comes from the radiologists' median
    malignancy: "benign" up to 2, "malignant" from 4, "indeterminate" between, "" where it is unknown. Extra
    columns: `malignancy` (median, 1 to 5), `malignancy_readers`, `diameter_mm` and `texture` (1 ground-glass
    to 5 solid). They and the spacing come from the `metadata.csv` beside the patients, and are NaN or ""
    where that is blank or absent. The distance between slices is taken to be their thickness.

    Args:
        source: folder or zip file.

    Raises:
        DatasetError: the source is missing, is not a sound zip, or holds no such layout.
    """

    title = "LIDC-IDRI slices"
    licence = "CC-BY-3.0"
    citation = (
        "Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative "
        "(IDRI), Medical Physics 38(2), 2011, doi:10.1118/1.3528204; data doi:10.7937/K9/TCIA.2015.LO9QL9SX"
    )
    units: Literal["hu", "uint8"] = "uint8"
    window = "windowed per image when the slices were exported; no HU"
    mask_bits: tuple[str, ...] = tuple(f"reader-{n}" for n in range(READER_COUNT))

    def __init__(self, source: Path, options: Mapping[str, Option] | None = None) -> None:
        super().__init__(source, options)
        self._tree = open_tree(self.source, LAYOUT)
        slices, tables = self._scan()
        if not slices:
            raise DatasetError(self._nothing_found())
        self._slices = {key: files for key, files in sorted(slices.items()) if self._is_complete(key, files)}
        self._nodules = self._read_metadata(tables)

    def __len__(self) -> int:
        return len(self._slices)

    def __iter__(self) -> Iterator[Slice]:
        faults = list(self.faults)
        for result in _in_threads(self._read_slice, self._slices):
            self.done += 1
            if isinstance(result, Slice):
                yield result
            else:
                faults += result
        if faults:
            raise ImportRefused(str(self.source), faults)

    def preview(self) -> dict[str, Any]:
        """See `Reader.preview`."""
        return {
            "patients": len({key.patient for key in self._slices}),
            "volumes": len({(key.patient, key.nodule) for key in self._slices}),
            "slices": len(self),
            "faulty": len(self.foreseen),
        }

    def _scan(self) -> tuple[dict[_Key, dict[str, str]], list[str]]:
        """Sort the file names into slices, each {"images" or "mask-n": name}, and metadata tables."""
        slices: dict[_Key, dict[str, str]] = {}
        tables: list[str] = []
        roots: set[str] = set()
        for name in self._tree.names():
            match = _FILE.fullmatch(name)
            if not match:
                tables += [name] if name.rpartition("/")[2] == "metadata.csv" else []
                continue
            patient = match["patient"]
            roots.add(match["root"] or "")
            files = slices.setdefault(_Key(natural(patient), patient, int(match[3]), int(match[5])), {})
            first = files.setdefault(match[4].lower(), name)
            if first != name:
                self.faults.append(f"{name}: is the same slice as {first}")
        return slices, [table for table in tables if table.removesuffix("metadata.csv") in roots]

    def _nothing_found(self) -> str:
        names = list(islice(self._tree.names(), 3))
        received = f"files such as {', '.join(names)}" if names else "no files"
        return (
            f"{self.source} holds no LIDC-IDRI-slices layout. Received {received}; expected {LAYOUT}. "
            "Give the folder or zip as it was published. Other formats: lungzoo list readers"
        )

    def _is_complete(self, key: _Key, files: dict[str, str]) -> bool:
        parts = ("images", *(f"mask-{n}" for n in range(READER_COUNT)))
        missing = [part for part in parts if part not in files]
        self.faults += [f"{key.patient}/nodule-{key.nodule}/{part}/slice-{key.z}.png: is missing" for part in missing]
        return not missing

    def _read_metadata(self, tables: list[str]) -> dict[tuple[str, int], _Nodule]:
        nodules: dict[tuple[str, int], _Nodule] = {}
        for table in tables:
            try:
                rows = csv.DictReader(io.StringIO(self._tree.read(table).decode("utf-8-sig")))
                lacks = {"patient", "nodule"} - set(rows.fieldnames or ())
                if lacks:
                    raise ValueError(f"has no column {', '.join(sorted(lacks))}")
            except (*READ_ERRORS, csv.Error) as error:
                self.faults.append(f"{table}: {error}")
                continue
            for row in rows:
                try:
                    nodules[row["patient"], int(row["nodule"] or "")] = _parse_row(row)
                except ValueError as error:
                    self.faults.append(f"{table}, line {rows.line_num}: {error}")
        return nodules

    def _read_slice(self, key: _Key) -> Slice | list[str]:
        """Return the slice, or what is wrong with its files."""
        files, faults = self._slices[key], []
        arrays: dict[str, np.ndarray] = {}
        for part, name in sorted(files.items()):
            try:
                arrays[part] = _decode(self._tree.read(name), is_mask=part != "images")
            except READ_ERRORS as error:
                faults.append(f"{name}: {error}")
        image = arrays.pop("images", None)
        for part, mask in arrays.items():
            if image is not None and mask.shape != image.shape:
                faults.append(f"{files[part]}: mask is {_size(mask)}, its image {_size(image)}")
        if faults or image is None:
            return faults
        bits = np.zeros(image.shape, np.uint8)
        for n in range(READER_COUNT):
            bits |= (arrays[f"mask-{n}"] > 0).astype(np.uint8) << n
        return Slice(image, bits, self._case(key, int(np.bitwise_or.reduce(bits, axis=None))))

    def _case(self, key: _Key, drew: int) -> Case:
        nodule = self._nodules.get((key.patient, key.nodule), _Nodule())
        pixel_mm = nodule.numbers["pixel_spacing_mm"]
        extra = {column: nodule.numbers[name] for name, column in _METADATA.items() if column}
        return Case(
            case=key.name,
            patient=key.patient,
            volume=f"{key.patient}/nodule-{key.nodule}",
            z=key.z,
            spacing_mm=(nodule.numbers["slice_thickness_mm"], pixel_mm, pixel_mm),
            label=malignancy_label(nodule.numbers["mal_median"]),
            readers=drew,
            source=f"{key.patient}/nodule-{key.nodule}/images/slice-{key.z}.png",
            extra={**extra, "malignancy_readers": nodule.malignancy_readers},
        )


def _in_threads(read: Callable[[_Key], Slice | list[str]], keys: Iterable[_Key]) -> Iterator[Slice | list[str]]:
    """Map in order over threads, a few slices ahead at most; decoding PNGs leaves the interpreter free."""
    workers = min(8, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: deque[Future[Slice | list[str]]] = deque()
        for key in keys:
            waiting.append(pool.submit(read, key))
            if len(waiting) >= _LOOK_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(data: bytes, is_mask: bool) -> np.ndarray:
    """Return 8-bit grey pixels `(H, W)`; raises ValueError or what Pillow raises."""
    from PIL import Image, UnidentifiedImageError

    if not data.startswith(_PNG_START) or len(data) < 24:
        raise ValueError("is not a PNG file")
    if _PNG_END not in data:
        raise ValueError("is cut off: a PNG without an end")
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MAX_PIXELS:
        raise ValueError(f"is {width}×{height} pixels large, more than the {MAX_PIXELS:,} allowed")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            mode = picture.mode
            pixels = np.asarray(picture.convert("L"))
    except (*READ_ERRORS, SyntaxError, struct.error) as error:
        reason = "broken header" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"does not decode: {reason}") from None
    if mode != "L" and not (is_mask and mode == "1"):
        raise ValueError(f"is a PNG of mode {mode}; expected 8-bit grey with one channel")
    if is_mask and not ((pixels == 0) | (pixels == 255)).all():
        other = np.setdiff1d(pixels, [0, 255])
        raise ValueError(f"mask has values other than 0 and 255, such as {other[0]}")
    return pixels


def _parse_row(row: dict[str, str]) -> _Nodule:
    numbers = {name: float(row.get(name) or "nan") for name in _METADATA}
    for name, number in numbers.items():
        if number <= 0 or np.isinf(number):
            raise ValueError(f"{name} must be a number above 0 or blank, received {row[name]}")
    return _Nodule(numbers, row.get("malignancy") or "")


def _size(array: np.ndarray) -> str:
    return "×".join(map(str, array.shape))
