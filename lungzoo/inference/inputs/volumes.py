"""A volume in one file: NIfTI, MetaImage or NRRD."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from lungzoo.data.files import nifti
from lungzoo.data.files.metaimage import read_meta_header, read_metaimage
from lungzoo.data.files.nrrd import read_nrrd, read_nrrd_header
from lungzoo.data.files.values import AS_STORED
from lungzoo.data.files.volume import FileVolume, turn
from lungzoo.errors import DatasetError
from lungzoo.inference.inputs import Input, Reading
from lungzoo.inference.volume import Units, Volume, safe_name, whole

_MASK_VALUES = 2
SUFFIXES = (*nifti.SUFFIXES, ".mhd", ".mha", ".nrrd")


def is_mine(path: Path) -> bool:
    """Tell whether a file's name says that it holds a volume."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def find(path: Path, reading: Reading) -> list[Input]:
    """Return the one volume of a file, its header checked; raises DatasetError."""
    try:
        _check_header(path)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}.") from None
    return [Input(safe_name(path), path, True, False, partial(_read, path))]


def _read(path: Path) -> Volume:
    stored = _read_file(path)
    is_8bit = stored.stored_xyz.dtype.itemsize == 1 and stored.stored_xyz.dtype.kind == "u"
    units: Units = "uint8" if is_8bit and stored.scaling == AS_STORED else "hu"
    if units == "uint8" and len(values := np.unique(stored.stored_xyz)) <= _MASK_VALUES:
        raise DatasetError(
            f"it has only the values {', '.join(map(str, values.tolist()))}, as masks have. Give the CT that it "
            "belongs to"
        )
    try:
        turned = turn(safe_name(path), stored, None, units)
    except DatasetError as error:
        raise DatasetError(f"{error}. If this is CT, put slope and offset right in the file itself") from None
    return whole(turned.image, units, turned.info, notes=turned.notes)


def _check_header(path: Path) -> None:
    if _is_metaimage(path):
        read_meta_header(path)
        return
    with path.open("rb") as file:
        (read_nrrd_header if _is_nrrd(path) else nifti.read_header)(file)


def _read_file(path: Path) -> FileVolume:
    if _is_metaimage(path):
        return read_metaimage(path)
    with path.open("rb") as file:
        return read_nrrd(file) if _is_nrrd(path) else nifti.read_nifti(file)


def _is_metaimage(path: Path) -> bool:
    return path.name.lower().endswith((".mhd", ".mha"))


def _is_nrrd(path: Path) -> bool:
    return path.name.lower().endswith(".nrrd")
