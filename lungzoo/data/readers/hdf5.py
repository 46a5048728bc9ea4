"""One HDF5 file with slices, masks and what is known of them, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lungzoo.data.case import Case, Slice
from lungzoo.data.files.drawn import Drawn
from lungzoo.data.files.pictures import MAX_SIDE_PX
from lungzoo.data.files.values import AS_STORED, to_hu, to_mask
from lungzoo.data.hdf5 import Hdf5File, StoredDataset
from lungzoo.data.readers import READERS, Reader
from lungzoo.errors import ConfigError, DatasetError, ImportRefused
from lungzoo.schema import Option

_UNITS = ("auto", "hu", "uint8")
_UNIT_RANGE = "images of 0..1 become whole numbers of 0..255: round(255 × value)"


@READERS.register("hdf5")
class Hdf5Reader(Reader):
    """Reads slices (N, H, W), (N, 1, H, W) or (N, H, W, 1) with masks of the same shape, 0/1 or 0/255.

    uint8 stays so; real numbers of 0..1 become 0..255; everything else has to be HU. Rows are read in blocks, so that
    memory stays flat whatever the size of the file.

    Options:
        images, masks: paths within the file.
        labels, volumes, z: paths of one value per row, "" without them. Without z, the rows of a volume are counted.
        patients: the path of one patient id per row, or "row" where every row is another patient.
        units: "auto", "hu" or "uint8".
        mask_value: the value that is lesion, everything else being background; 0: masks are 0/1 or 0/255.
        licence, citation: recorded with the dataset.

    Args:
        source: the file.

    Raises:
        DatasetError: it is not HDF5, lacks a dataset, does not say who the patients are, or leads to other files.
    """

    title = "HDF5"
    licence = "not stated"
    citation = "not stated"
    mask_bits: tuple[str, ...] = ("lesion",)
    options: ClassVar[Mapping[str, Option]] = {
        **{"images": "images", "masks": "masks", "labels": "", "patients": "", "volumes": "", "z": ""},
        **{"units": "auto", "mask_value": 0, "licence": "not stated", "citation": "not stated"},
    }

    def __init__(self, source: Path, options: Mapping[str, Option] | None = None) -> None:
        super().__init__(source, options)
        if self.settings["units"] not in _UNITS:
            raise ConfigError(f"units must be one of {', '.join(_UNITS)}. Received: '{self.settings['units']}'")
        # Of the class they are what is said of all sources; a file's own are settings.
        self.licence, self.citation = str(self.settings["licence"]), str(self.settings["citation"])
        try:
            with Hdf5File(self.source) as file:
                self._look(file)
        except DatasetError as error:
            raise DatasetError(f"{self.source}: {error}") from None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Slice]:
        faults: list[str] = []
        self._drawn = Drawn(int(self.settings["mask_value"]))
        try:
            with Hdf5File(self.source) as file:
                for start, pixels, drawn in file.blocks(*(str(self.settings[key]) for key in ("images", "masks"))):
                    for row in range(len(pixels)):
                        self.done += 1
                        try:
                            yield self._slice(start + row, pixels[row], drawn[row])
                        except DatasetError as error:
                            faults.append(f"{self.source.name}, row {start + row}: {error}")
        except DatasetError as error:
            faults.append(f"{self.source.name}: {error}")
        self.notes += self._drawn.notes(str(self.source))
        if faults:
            raise ImportRefused(str(self.source), faults)

    def preview(self) -> dict[str, Any]:
        """See `Reader.preview`."""
        return {
            "patients": len(set(self._column("patients"))),
            "volumes": len({self._volume(row) for row in range(len(self))}),
            "slices": len(self),
            "size": f"{self._shape[0]}×{self._shape[1]}",
            "units": self.units,
        }

    def _look(self, file: Hdf5File) -> None:
        images, masks = (self._dataset(file, key) for key in ("images", "masks"))
        if images.shape != masks.shape:
            raise DatasetError(f"images are {images.shape}, masks {masks.shape}; expected alike")
        self._shape = _plane(images.shape)
        self._count = len(images)
        self._columns = {key: self._texts(file, key) for key in ("labels", "patients", "volumes", "z")}
        if not self.settings["patients"]:
            raise DatasetError(
                "it is not said which patient each row belongs to, and slices of one patient must not fall into two "
                "splits. Give the dataset that says it, --set patients=PATH; or, if every row is another patient, "
                "--set patients=row"
            )
        self.patients_known = self.settings["patients"] != "row"
        self._check_columns()
        self.units = self._find_units(file, images)
        self.window = "none: HU" if self.units == "hu" else "as the images of the file have it; no HU"

    def _check_columns(self) -> None:
        """Check that every row has a patient and a place of its own, and note the place."""
        for key in ("patients", "volumes"):
            blank = [row for row, text in enumerate(self._columns[key]) if not text.strip()]
            if blank:
                raise DatasetError(f"'{self.settings[key]}' is blank in {len(blank)} rows, such as row {blank[0]}")
        if any(not text.isdecimal() or len(text) > 9 for text in self._columns["z"]):
            raise DatasetError("z holds what is no whole number from 0")
        self._z: list[int] = []
        counts: dict[str, int] = {}
        first: dict[tuple[str, int], int] = {}
        for row in range(self._count):
            volume = self._volume(row)
            z = int(self._columns["z"][row]) if self._columns["z"] else counts.get(volume, 0)
            counts[volume] = counts.get(volume, 0) + 1
            if first.setdefault((volume, z), row) != row:
                raise DatasetError(
                    f"rows {first[volume, z]} and {row} are both volume {volume}, z {z}; expected each once. Leave z "
                    "out to count the rows of each volume"
                )
            self._z.append(z)

    def _find_units(self, file: Hdf5File, images: StoredDataset) -> Literal["hu", "uint8"]:
        """Decide by the type, and for real numbers by the first block; rows that do not fit it are faults later."""
        wanted, kind = self.settings["units"], images.dtype
        if kind == np.uint8 and wanted != "hu":
            return "uint8"
        _, first = next(file.blocks(images.name))
        in_unit_range = kind.kind == "f" and bool(((first >= 0) & (first <= 1)).all())
        if wanted == "uint8" and kind.kind != "f":
            raise DatasetError(f"images are {kind}; units=uint8 takes uint8, or real numbers of 0..1")
        if wanted == "uint8" or (wanted == "auto" and in_unit_range):
            self.notes.append(_UNIT_RANGE)
            return "uint8"
        if wanted == "auto":
            to_hu(first, AS_STORED)
        return "hu"

    def _slice(self, row: int, pixels: np.ndarray, drawn: np.ndarray) -> Slice:
        pixels, drawn = pixels.reshape(self._shape), drawn.reshape(self._shape)
        image = to_hu(pixels, AS_STORED, must_look_like_hu=False)[0] if self.units == "hu" else _grey(pixels)
        z, volume = self._z[row], self._volume(row)
        case = Case(
            case=f"{volume}/{z:04d}",
            patient=self._column("patients")[row],
            volume=volume,
            z=z,
            label=self._columns["labels"][row] if self._columns["labels"] else "",
            source=f"{self.source.name}, row {row}",
        )
        return Slice(image, self._mask(drawn), case)

    def _mask(self, drawn: np.ndarray) -> np.ndarray:
        value = int(self.settings["mask_value"])
        if value:
            mask = to_mask(drawn, AS_STORED, (value,), others=True)
        else:
            mask = to_mask(drawn, AS_STORED, (255,) if drawn.max() == 255 else (1,))
        self._drawn.add(drawn, mask)
        return mask

    def _volume(self, row: int) -> str:
        return self._columns["volumes"][row] if self._columns["volumes"] else f"row-{row:06d}"

    def _column(self, key: str) -> list[str]:
        return self._columns[key]

    def _dataset(self, file: Hdf5File, key: str) -> StoredDataset:
        try:
            found = file.dataset(str(self.settings[key]))
        except DatasetError as error:
            raise DatasetError(f"{error}. The setting {key} says which to take, --set {key}=PATH") from None
        if key in ("images", "masks") and found.dtype.kind not in "buif":
            raise DatasetError(f"{key} are {found.dtype}; expected numbers")
        return found

    def _texts(self, file: Hdf5File, key: str) -> list[str]:
        if not self.settings[key]:
            return []
        if key == "patients" and self.settings[key] == "row":
            return [f"row-{row:06d}" for row in range(self._count)]
        found = file.texts(self._dataset(file, key).name)
        if len(found) != self._count:
            raise DatasetError(f"'{self.settings[key]}' has {len(found)} rows, the images {self._count}")
        return found


def _plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (H, W) of the rows."""
    sides = shape[1:]
    if len(sides) == 3 and 1 in (sides[0], sides[2]):
        sides = sides[1:] if sides[0] == 1 else sides[:2]
    if len(sides) != 2 or min(*sides, shape[0]) < 1:
        raise DatasetError(f"images are {shape}; expected (N, H, W), (N, 1, H, W) or (N, H, W, 1)")
    if max(sides) > MAX_SIDE_PX:
        raise DatasetError(f"images are {sides[0]}×{sides[1]} pixels; at most {MAX_SIDE_PX:,} a side are taken")
    return sides[0], sides[1]


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Turn uint8, or real numbers of 0..1, into uint8."""
    if pixels.dtype == np.uint8:
        return pixels
    if not ((pixels >= 0) & (pixels <= 1)).all():
        raise DatasetError(
            f"its values run from {pixels.min():g} to {pixels.max():g}; expected 0..1 as in the first rows"
        )
    return np.rint(pixels * 255.0).astype(np.uint8)
