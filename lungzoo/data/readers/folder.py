"""Images with their masks in a folder or archive: pictures, stacks, NIfTI volumes, and perhaps a table of cases."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, ClassVar, TypeVar

import numpy as np

from lungzoo.data.case import Slice, VolumeInfo
from lungzoo.data.dicom.files import HEAD_BYTES, looks_like_dicom
from lungzoo.data.files import case_table, nifti, pictures
from lungzoo.data.files.canvas import AIR_HU, centre_square, square_grid
from lungzoo.data.files.case_table import CaseRow
from lungzoo.data.files.drawn import Drawn
from lungzoo.data.files.notes import NoteBook
from lungzoo.data.files.pairs import LAYOUT, Pair, find_pairs
from lungzoo.data.files.patients import Owners, check_folders, nobody
from lungzoo.data.files.values import AS_STORED, Scaling, to_hu, to_mask, to_uint8
from lungzoo.data.files.volume import axial_shape, turn
from lungzoo.data.geometry import Geometry
from lungzoo.data.readers import READERS, Entry, ScanReader
from lungzoo.data.scan import Scan
from lungzoo.data.source_tree import READ_ERRORS, SourceTree, open_tree
from lungzoo.errors import ConfigError, DatasetError, ImportRefused
from lungzoo.schema import Option

_RANGES = {"size_px": (0, pictures.MAX_SIDE_PX), "mask_value": (0, 65535), "hu_offset": (-65536, 65536)}
T = TypeVar("T")
_UNITS = ("auto", "hu", "uint8")
_WITHOUT_MASK = ("refuse", "empty")
_DICOM = (".dcm", ".dicom", ".ima")
# Stands for the grid of pictures until their slices are made, and is not kept.
_NO_GRID = Geometry(((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)))


@dataclass(frozen=True)
class _Look:
    """What the header of an image says."""

    shape_zyx: tuple[int, int, int]
    is_nifti: bool
    is_8bit: bool


@dataclass(frozen=True)
class _Files:
    """What one volume is read from; `z` is the index of a single slice within its volume."""

    pair: Pair
    row: CaseRow
    look: _Look
    z: int | None
    guessed: bool
    by_folder: bool


@READERS.register("folder")
class FolderReader(ScanReader):
    """Reads pairs of images and masks.

    Pairs are `images/<name>` with `masks/<name>`, or `<name>` with `<name>_mask` beside it, or a folder with one image
    and a file called `mask`; PNG, TIFF, NPY (H, W) or (Z, H, W) from the feet to the head, or NIfTI. Only NIfTI
    volumes have a grid and are turned. A table `cases.csv`, at the top or the only one below it, says more of each
    image: see `CaseRow`.

    Options:
        slices: all, lesion or lesion+N; single slices know no lesion+N.
        units: "auto" (8-bit stays so; everything else has to look like HU), "hu" or "uint8".
        hu_offset: added to stored numbers, such as -1024; unsigned 16-bit pictures need it. Not for 8-bit images.
        patients: "auto" (the table, else the first folder below those that all share, else every volume is a
            patient), "csv", "file" (every file is a patient), or a regular expression that is looked for in the name
            and has a group: the patient, and perhaps groups named `volume` and `z`.
        mask_value: the value that is lesion, everything else being background; 0: masks are 0/1 or 0/255.
        without_mask: "refuse", or "empty" to take images without a mask as free of lesions.
        size_px: crop or pad slices about their centre to this side; 0: all have to be of one size.
        licence, citation: recorded with the dataset.

    Args:
        source: folder or archive.

    Raises:
        DatasetError: the source is missing, holds no pair, or does not say who the patients are.
        ConfigError: an option that is not allowed.
    """

    title = "Images with masks"
    licence = "not stated"
    citation = "not stated"
    options: ClassVar[Mapping[str, Option]] = {
        **ScanReader.options,
        "units": "auto",
        "hu_offset": 0,
        "patients": "auto",
        "mask_value": 0,
        "without_mask": "refuse",
        "size_px": 0,
        "licence": "not stated",
        "citation": "not stated",
    }

    def __iter__(self) -> Iterator[Slice]:
        self._drawn = Drawn(int(self.settings["mask_value"]))
        faults: list[str] = []
        try:
            yield from super().__iter__()
        except ImportRefused as refused:
            faults = refused.faults
        self.notes += self._drawn.notes(str(self.source))
        if faults:
            raise ImportRefused(str(self.source), faults)

    def file_of(self, entry: Entry) -> str:
        """See `ScanReader.file_of`."""
        return str(entry.files.pair.image)

    def slices_of(self, entry: Entry, scan: Scan) -> Iterator[Slice]:
        """See `ScanReader.slices_of`; only NIfTI has a grid."""
        for item in super().slices_of(entry, scan):
            yield item if entry.files.look.is_nifti else _without_grid(item, entry.files)

    def list_entries(self) -> list[Entry]:
        """See `ScanReader.list_entries`."""
        self._check_options()
        self._drawn = Drawn(int(self.settings["mask_value"]))
        rule = str(self.settings["patients"])
        Owners(rule)  # a rule that is none is told before the files are looked for
        self._book = NoteBook(self.notes)
        self._table, self._table_faults, self._columns = "", list[str](), list[str]()
        self._tree = open_tree(self.source, LAYOUT)
        names = sorted(self._tree.names())
        pairs, self.faults = find_pairs(names, self.settings["without_mask"] == "empty")
        if not pairs and not self.faults:
            raise DatasetError(_nothing_found(str(self.source), self._tree, names))
        if self.faults and (scans := [name for name in names if name.lower().endswith(_DICOM)]):
            self.faults.insert(0, f"{scans[0]}: {_with_pictures(len(scans))}")
        owners = Owners(rule, [pair.key for pair in pairs])
        table = self._read_table(names, pairs)
        entries = []
        for pair in pairs:
            try:
                entries.append(self._entry(pair, table.get(pair.key, CaseRow()), owners))
            except DatasetError as error:
                self.faults.append(f"{pair.image}: {error}")
        entries = self._of_one_size(self._of_one_name(entries))
        self._settle(entries)
        return entries

    def read(self, entry: Entry) -> Scan:
        """See `ScanReader.read`."""
        files: _Files = entry.files
        image, mask, info = self._read_volume(entry) if files.look.is_nifti else self._read_pictures(entry)
        size_px = int(self.settings["size_px"])
        if size_px:
            lesion_px = np.count_nonzero(mask)
            image = centre_square(image, size_px, AIR_HU if self.units == "hu" else 0)
            mask = centre_square(mask, size_px, 0)
            info = square_grid(info, size_px)
            if np.count_nonzero(mask) < lesion_px:
                self._book.add(entry.volume, ["cropping cut off some of the lesion"])
        row = files.row
        return Scan(image, mask, info, entry.patient, row.label, source=files.pair.image, extra=row.extra)

    def _check_options(self) -> None:
        for key, words in {"units": _UNITS, "without_mask": _WITHOUT_MASK}.items():
            if self.settings[key] not in words:
                raise ConfigError(f"{key} must be one of {', '.join(words)}. Received: '{self.settings[key]}'")
        for key, (low, high) in _RANGES.items():
            if not low <= int(self.settings[key]) <= high:
                raise ConfigError(f"{key} must be {low} to {high}. Received: {self.settings[key]}")

    def _read_table(self, names: list[str], pairs: list[Pair]) -> dict[str, CaseRow]:
        path = self._find_table(names)
        if not path:
            if self.settings["patients"] == "csv":
                raise DatasetError(f"{self.source} has no {case_table.NAME}, though patients=csv asks for it.")
            return {}
        try:
            data = self._tree.read(path)
        except READ_ERRORS as error:
            raise DatasetError(f"{path}: {error}") from None
        # Keys are without images/ and masks/, and so is the folder that they are told from.
        folder = re.sub(r"(^|/)(images|masks)/$", r"\1", path.removesuffix(case_table.NAME), flags=re.I)
        below = {pair.key.removeprefix(folder): pair.key for pair in pairs if pair.key.startswith(folder)}
        table, faults = case_table.read_case_table(data, below)
        outside = [pair.key for pair in pairs if not pair.key.startswith(folder)]
        self._table, self._table_faults = path, faults + [f"{key}: has no row in {path}" for key in outside]
        self._columns = sorted({name for row in table.values() for name in row.extra})
        self.faults += self._table_faults
        return {below[key]: row for key, row in table.items()}

    def _find_table(self, names: list[str]) -> str:
        """Return the path of the table: at the top, or the only one below it; "" where there is none."""
        if case_table.NAME in names:
            return case_table.NAME
        found = [name for name in names if name.endswith(f"/{case_table.NAME}")]
        if len(found) > 1:
            raise DatasetError(
                f"{self.source} has {len(found)} tables, {', '.join(found[:3])}; expected one. Join them into one "
                f"{case_table.NAME} at the top"
            )
        return found[0] if found else ""

    def _entry(self, pair: Pair, row: CaseRow, owners: Owners) -> Entry:
        look = self._with(pair.image, _look_at_nifti if _is_nifti(pair.image) else _look_at_picture)
        depth = look.shape_zyx[0]
        owner = owners.of(pair.key, row, is_volume=look.is_nifti or depth > 1)
        return Entry(
            owner.volume, owner.patient, depth, _Files(pair, row, look, owner.z, owner.guessed, owner.by_folder)
        )

    def _of_one_name(self, entries: list[Entry]) -> list[Entry]:
        """Leave out what has the volume and z of another."""
        first: dict[tuple[str, int | None], Entry] = {}
        for entry in entries:
            name = (entry.volume, entry.files.z)
            if first.setdefault(name, entry) is not entry:
                where = entry.volume if name[1] is None else f"{entry.volume}, z {name[1]}"
                self.faults.append(f"{entry.files.pair.image}: is {where}, as is {first[name].files.pair.image}")
        return list(first.values())

    def _of_one_size(self, entries: list[Entry]) -> list[Entry]:
        """Leave out what is not of the first one's size."""
        if self.settings["size_px"] or not entries:
            return entries
        expected = entries[0].files.look.shape_zyx[1:]
        for entry in entries:
            received = entry.files.look.shape_zyx[1:]
            if received != expected:
                self.faults.append(
                    f"{entry.files.pair.image}: its slices are {received[0]}×{received[1]}, those of "
                    f"{entries[0].files.pair.image} {expected[0]}×{expected[1]}; --set size_px=N crops or pads all "
                    "about their centre to N×N"
                )
        return [entry for entry in entries if entry.files.look.shape_zyx[1:] == expected]

    def _settle(self, entries: list[Entry]) -> None:
        """Decide on units, and check that patients are known and slices can be chosen."""
        unknown = [entry for entry in entries if not entry.patient]
        if unknown and self._table_faults:  # which may be why
            others = [fault for fault in self.faults if fault not in self._table_faults]
            raise ImportRefused(str(self.source), [*self._table_faults, *others])
        if unknown:
            example = unknown[0].files.pair.image
            raise nobody(str(self.source), example, len(unknown), self._table, self._columns)
        self.patients_known = self.settings["patients"] != "file" and not any(e.files.guessed for e in entries)
        if str(self.settings["slices"]).startswith("lesion+") and any(e.files.z is not None for e in entries):
            raise ConfigError("slices=lesion+N is for volumes; of single slices take all, or lesion.")
        check_folders(str(self.source), [entry.patient for entry in entries if entry.files.by_folder])
        for entry in entries:
            if entry.files.by_folder:
                self._book.add(entry.volume, ["the first folder was taken for the patient"])
            if entry.files.guessed:
                self._book.add(entry.volume, ["the file was taken for a patient of its own; see the setting patients"])
        is_8bit = bool(entries) and entries[0].files.look.is_8bit
        self.units = (
            "uint8" if self.settings["units"] == "uint8" or (self.settings["units"] == "auto" and is_8bit) else "hu"
        )
        if self.units == "uint8" and self.settings["hu_offset"]:
            raise ConfigError(
                "hu_offset is for images that become HU, and these stay 8-bit (units=uint8). Leave it out, or set "
                f"units=hu. Received: hu_offset={self.settings['hu_offset']}"
            )
        self.window = "none: HU" if self.units == "hu" else "as the 8-bit images have it; no HU"
        # Of the class they are what is said of all sources; a folder's own are settings.
        self.licence, self.citation = str(self.settings["licence"]), str(self.settings["citation"])

    def _read_volume(self, entry: Entry) -> tuple[np.ndarray, np.ndarray, VolumeInfo]:
        pair: Pair = entry.files.pair
        image = self._with(pair.image, nifti.read_nifti)
        scaling = replace(image.scaling, inter=image.scaling.inter + int(self.settings["hu_offset"]))
        mask = self._with_mask(pair, nifti.read_nifti)
        auto = self.settings["units"] == "auto"
        turned = turn(entry.volume, replace(image, scaling=scaling), mask, self.units, auto, self._to_mask)
        self._book.add(entry.volume, turned.notes)
        return turned.image, turned.mask, turned.info

    def _read_pictures(self, entry: Entry) -> tuple[np.ndarray, np.ndarray, VolumeInfo]:
        pair: Pair = entry.files.pair
        image = self._to_pixels(entry, self._with(pair.image, pictures.read_pictures))
        stored = self._with_mask(pair, pictures.read_pictures)
        mask = np.zeros(image.shape, np.uint8) if stored is None else self._to_mask(stored, AS_STORED)
        if mask.shape != image.shape:
            raise DatasetError(f"its mask is {mask.shape} large, the image {image.shape} (z, y, x)")
        return image, mask, VolumeInfo(entry.volume, entry.files.look.shape_zyx, _NO_GRID, _NO_GRID)

    def _to_pixels(self, entry: Entry, stored: np.ndarray) -> np.ndarray:
        offset = int(self.settings["hu_offset"])
        scaling = Scaling(1.0, float(offset))
        if self.units == "uint8":
            return to_uint8(stored, scaling)
        if stored.dtype.kind == "u" and stored.dtype.itemsize > 1 and not offset:
            raise DatasetError(
                f"its pixels are {stored.dtype}, which has no room for air at -1000 HU. Say what has to be added to "
                "get HU, such as --set hu_offset=-1024"
            )
        image, fractional = to_hu(stored, scaling, self.settings["units"] == "auto")
        self._book.add(entry.volume, ["fractions of HU were rounded"] if fractional else [])
        return image

    def _to_mask(self, stored: np.ndarray, scaling: Scaling) -> np.ndarray:
        value = int(self.settings["mask_value"])
        if value:
            mask = to_mask(stored, scaling, (value,), others=True)
        else:
            ends = [float(end) * scaling.slope + scaling.inter for end in (stored.min(), stored.max())]
            mask = to_mask(stored, scaling, (255,) if max(ends) == 255 else (1,))
        self._drawn.add(stored, mask)
        return mask

    def _with_mask(self, pair: Pair, read: Callable[[BinaryIO], T]) -> T | None:
        if not pair.mask:
            return None
        try:
            return self._with(pair.mask, read)
        except DatasetError as error:
            raise DatasetError(f"its mask {pair.mask}: {error}") from None

    def _with(self, name: str, read: Callable[[BinaryIO], T]) -> T:
        """Read a file; one in an archive is taken out to a nameless file first."""
        try:
            if self.source.is_dir():
                with (self.source / name).open("rb") as file:
                    return read(file)
            with tempfile.TemporaryFile() as copy:
                self._tree.copy(name, copy)
                return read(copy)
        except READ_ERRORS as error:
            raise DatasetError(str(error)) from None


def _is_nifti(name: str) -> bool:
    return name.lower().endswith(nifti.SUFFIXES)


def _look_at_nifti(file: BinaryIO) -> _Look:
    header = nifti.read_header(file)
    is_8bit = header.dtype == np.uint8 and header.scaling == AS_STORED
    return _Look(axial_shape(header.shape_xyz, header.geometry), True, is_8bit)


def _look_at_picture(file: BinaryIO) -> _Look:
    header = pictures.read_picture_header(file)
    return _Look(header.shape_zyx, False, header.dtype == np.uint8)


def _nothing_found(source: str, tree: SourceTree, names: list[str]) -> str:
    """Say what a source without pairs holds instead, and which readers read DICOM where it is that."""
    shown = f"files such as {', '.join(names[:3])}" if names else "no files"
    what = f"{source} holds no images with masks. Received {shown}; expected {LAYOUT}."
    if any(_is_dicom(tree, name) for name in names[:3]):
        what += (
            " These are DICOM files, which other readers read: nsclc-radiomics (with RTSTRUCT or SEG), dicom-seg (with "
            "SEG), lidc-idri (with XML)."
        )
    return what


def _with_pictures(count: int) -> str:
    """Say what becomes of DICOM files beside pictures."""
    return (
        f"{count} DICOM file(s) such as this are not read with pictures for masks; make a NIfTI file of each scan "
        "and one of its mask first, see docs/volumes.md"
    )


def _is_dicom(tree: SourceTree, name: str) -> bool:
    try:
        return looks_like_dicom(tree.head(name, HEAD_BYTES))
    except READ_ERRORS:
        return False


def _without_grid(item: Slice, files: _Files) -> Slice:
    """Say of a picture's slice what is known of it."""
    z = item.case.z if files.z is None else files.z
    case = replace(item.case, case=f"{item.case.volume}/{z:04d}", z=z, spacing_mm=files.row.spacing_mm)
    return replace(item, case=case, volume=None)
