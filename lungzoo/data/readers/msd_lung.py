"""Task06_Lung of the Medical Segmentation Decathlon: NIfTI scans with lung tumours."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from lungzoo.data.files import nifti
from lungzoo.data.files.notes import NoteBook
from lungzoo.data.files.volume import FileVolume, axial_shape, turn
from lungzoo.data.readers import READERS, Entry, ScanReader
from lungzoo.data.scan import Scan
from lungzoo.data.source_tree import open_tree
from lungzoo.errors import DatasetError

LAYOUT = "the unpacked folder Task06_Lung, with imagesTr/lung_001.nii.gz … and labelsTr/lung_001.nii.gz …"
_IMAGES, _MASKS = "imagesTr", "labelsTr"


@READERS.register("msd-lung")
class MsdLungReader(ScanReader):
    """Reads the training scans of MSD Task06: CT in HU, label 1 = cancer.

    The patient and the volume are the file's stem, such as lung_001: the set has one scan of each patient. The scans of
    `imagesTs` have no masks and are not read. `dataset.json` is not needed; where it is, the scans that it lists have
    to be there.

    Args:
        source: the unpacked folder; it may lie deeper.

    Raises:
        DatasetError: the source is no folder, or holds no such layout.
    """

    title = "MSD Task06 lung"
    licence = "CC-BY-SA-4.0"
    citation = (
        "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13, 4128, 2022, "
        "doi:10.1038/s41467-022-30695-9"
    )
    mask_bits: tuple[str, ...] = ("cancer",)

    def list_entries(self) -> list[Entry]:
        """See `ScanReader.list_entries`."""
        self._book = NoteBook(self.notes)
        if self.source.is_file():
            raise DatasetError(f"{self.source} is a file. Unpack it, and give {LAYOUT}.")
        names = sorted(open_tree(self.source, LAYOUT).names())
        found = {part: _in(names, part) for part in (_IMAGES, _MASKS)}
        if not found[_IMAGES]:
            raise DatasetError(f"{self.source} holds no {_IMAGES} with NIfTI files. Give {LAYOUT}.")
        self.faults += [
            f"{name}: has no image in {_IMAGES}" for key, name in found[_MASKS].items() if key not in found[_IMAGES]
        ]
        self._check_list([name for name in names if name.rpartition("/")[2] == "dataset.json"], set(found[_IMAGES]))
        entries = []
        for key, name in found[_IMAGES].items():
            try:
                entries.append(self._entry(key, name, found[_MASKS].get(key, "")))
            except (DatasetError, OSError) as error:
                self.faults.append(f"{name}: {error}")
        return entries

    def read(self, entry: Entry) -> Scan:
        """See `ScanReader.read`."""
        image, mask = entry.files
        turned = turn(entry.volume, self._read(image), self._read(mask))
        self._book.add(entry.volume, turned.notes)
        return Scan(turned.image, turned.mask, turned.info, entry.patient, source=image)

    def _entry(self, key: tuple[str, str], image: str, mask: str) -> Entry:
        if not mask:
            raise DatasetError(f"has no mask in {_MASKS}")
        with (self.source / image).open("rb") as file:
            header = nifti.read_header(file)
        return Entry(key[1], key[1], axial_shape(header.shape_xyz, header.geometry)[0], (image, mask))

    def _read(self, name: str) -> FileVolume:
        try:
            with (self.source / name).open("rb") as file:
                return nifti.read_nifti(file)
        except (DatasetError, OSError) as error:
            raise DatasetError(f"{name}: {error}") from None

    def _check_list(self, tables: list[str], found: set[tuple[str, str]]) -> None:
        """Note as faults the scans that a dataset.json lists and that are not there."""
        for name in tables:
            root = name.removesuffix("dataset.json")
            for listed in _listed(self.source / name):
                stem = _stem(listed)
                if (root, stem) not in found:
                    self.faults.append(f"{root}{_IMAGES}/{stem}.nii.gz: is missing, though {name} lists it")


def _in(names: list[str], part: str) -> dict[tuple[str, str], str]:
    """Return {(root folder, stem): name} of the NIfTI files that lie in folders called `part`."""
    found = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        root, _, kind = folder.rpartition("/")
        if kind == part and last.lower().endswith(nifti.SUFFIXES):
            found[f"{root}/" if root else "", _stem(last)] = name
    return found


def _stem(name: str) -> str:
    return PurePosixPath(name).name.removesuffix(".gz").removesuffix(".nii")


def _listed(path: Path) -> list[str]:
    """Return the names of the images that dataset.json lists for training; what it does not say is not missed."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged: {error}") from None
    rows = content.get("training") if isinstance(content, dict) else None
    return [row["image"] for row in rows or [] if isinstance(row, dict) and isinstance(row.get("image"), str)]
