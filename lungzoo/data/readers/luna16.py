"""LUNA16: MetaImage scans of LIDC-IDRI, with nodules given as centre and diameter."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.files.metaimage import read_meta_header, read_metaimage
from lungzoo.data.files.notes import NoteBook
from lungzoo.data.files.volume import axial_shape, turn
from lungzoo.data.geometry import Geometry
from lungzoo.data.readers import READERS, Entry, ScanReader
from lungzoo.data.scan import Scan
from lungzoo.data.source_tree import open_tree
from lungzoo.errors import DatasetError

LAYOUT = "the unpacked folder, with subset0 … subset9 (<seriesuid>.mhd and .raw) and annotations.csv"
_TABLE = "annotations.csv"
_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


@dataclass(frozen=True)
class Nodule:
    """One row of annotations.csv.

    Args:
        centre_mm: (x, y, z) in LPS.
        diameter_mm: above 0.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float


@READERS.register("luna16")
class Luna16Reader(ScanReader):
    """Reads LUNA16 scans; a mask is balls of the annotated diameters, not what radiologists drew.

    Volume and patient are the seriesuid: LUNA16 names no patients, and a few of LIDC-IDRI's were scanned twice.
    Candidates are not read. Extra columns, of the whole scan: `nodules`, and `diameter_mm` of the largest (NaN
    without one).

    Args:
        source: the unpacked folder; some of the subsets are enough.

    Raises:
        DatasetError: the source is no folder, or holds no scans or no annotations.csv.
    """

    title = "LUNA16"
    licence = "CC-BY-4.0"
    citation = (
        "Setio et al., Validation, comparison, and combination of algorithms for automatic detection of pulmonary "
        "nodules in computed tomography images: the LUNA16 challenge, Medical Image Analysis 42, 2017, "
        "doi:10.1016/j.media.2017.06.015; scans of LIDC-IDRI, CC-BY-3.0, doi:10.7937/K9/TCIA.2015.LO9QL9SX"
    )
    mask_bits: tuple[str, ...] = ("ball",)

    def list_entries(self) -> list[Entry]:
        """See `ScanReader.list_entries`."""
        self._book = NoteBook(self.notes)
        if self.source.is_file():
            raise DatasetError(f"{self.source} is a file. Unpack it, and give {LAYOUT}.")
        names = sorted(open_tree(self.source, LAYOUT).names())
        scans = [name for name in names if name.lower().endswith(".mhd")]
        if not scans:
            raise DatasetError(f"{self.source} holds no .mhd files. Give {LAYOUT}.")
        self._nodules = self._read_table([name for name in names if name.rpartition("/")[2] == _TABLE])
        entries: dict[str, Entry] = {}
        for name in scans:
            uid = PurePosixPath(name).stem
            try:
                if uid in entries:
                    raise DatasetError(f"is the same series as {entries[uid].files}")
                header = read_meta_header(self.source / name)
                entries[uid] = Entry(uid, uid, axial_shape(header.shape_xyz, header.geometry)[0], name)
            except DatasetError as error:
                self.faults.append(f"{name}: {error}")
        self.notes.append("masks are balls of the annotated diameters, not outlines")
        return list(entries.values())

    def read(self, entry: Entry) -> Scan:
        """See `ScanReader.read`."""
        turned = turn(entry.volume, read_metaimage(self.source / entry.files), None)
        self._book.add(entry.volume, turned.notes)
        nodules = self._nodules.get(entry.volume, [])
        info = VolumeInfo(**{**vars(turned.info), "series_uid": entry.volume})
        extra = {"nodules": len(nodules), "diameter_mm": max((n.diameter_mm for n in nodules), default=math.nan)}
        mask = balls(nodules, info.shape_zyx, info.geometry)
        return Scan(turned.image, mask, info, entry.patient, source=entry.files, extra=extra)

    def _read_table(self, names: list[str]) -> dict[str, list[Nodule]]:
        if len(names) != 1:
            raise DatasetError(f"{self.source} holds {len(names)} files {_TABLE}; expected one. Give {LAYOUT}.")
        try:
            rows = csv.DictReader(io.StringIO((self.source / names[0]).read_text(encoding="utf-8-sig")))
            missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise DatasetError(f"{names[0]} lacks the columns {', '.join(missing)}.")
            nodules: dict[str, list[Nodule]] = {}
            for row in rows:
                try:
                    nodules.setdefault(row["seriesuid"].strip(), []).append(_nodule(row))
                except (TypeError, ValueError, AttributeError):
                    self.faults.append(
                        f"{names[0]}, line {rows.line_num}: expected a seriesuid and four finite numbers"
                    )
        except (OSError, ValueError, csv.Error) as error:
            raise DatasetError(f"{names[0]} is not a CSV table in UTF-8: {error}") from None
        return nodules


def balls(nodules: Iterable[Nodule], shape_zyx: tuple[int, int, int], geometry: Geometry) -> np.ndarray:
    """Draw nodules as balls.

    A voxel is lesion where its centre is at most half a diameter from a nodule's centre; the voxel that holds the
    centre always is.

    Returns:
        uint8 {0, 1} of `shape_zyx`.

    Raises:
        DatasetError: a centre lies outside the volume.
    """
    mask = np.zeros(shape_zyx, np.uint8)
    for nodule in nodules:
        centre = geometry.to_index(np.array(nodule.centre_mm))
        nearest = np.rint(centre).astype(int)
        if (nearest < 0).any() or (nearest >= shape_zyx).any():
            raise DatasetError(f"a nodule at {nodule.centre_mm} mm lies outside of its scan")
        reach = nodule.diameter_mm / 2 / np.array(geometry.spacing_mm)
        low = np.maximum(np.ceil(centre - reach - 1e-6), 0).astype(int)
        high = np.minimum(np.floor(centre + reach + 1e-6), np.array(shape_zyx) - 1).astype(int) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        index = np.moveaxis(np.indices([max(b - a, 0) for a, b in zip(low, high, strict=True)]), 0, -1) + low
        away = np.linalg.norm(geometry.to_mm(index) - np.array(nodule.centre_mm), axis=-1)
        mask[box] |= (away <= nodule.diameter_mm / 2).astype(np.uint8)
        mask[tuple(nearest)] = 1
    return mask


def _nodule(row: dict[str, str]) -> Nodule:
    x, y, z, diameter = (float(row[column]) for column in _COLUMNS[1:])
    if not all(map(math.isfinite, (x, y, z, diameter))) or not 0 < diameter < 500:
        raise ValueError
    return Nodule((x, y, z), diameter)
