"""A slice or stack without a grid: PNG, TIFF or NPY."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from lungzoo.data.files import pictures
from lungzoo.data.files.values import AS_STORED, Scaling, to_hu, to_uint8
from lungzoo.errors import DatasetError
from lungzoo.inference.inputs import Input, Reading
from lungzoo.inference.volume import Volume, safe_name


def is_mine(path: Path) -> bool:
    """Tell whether a file's name is that of a picture."""
    return path.is_file() and path.suffix.lower() in pictures.SUFFIXES


def find(path: Path, reading: Reading) -> list[Input]:
    """Return the one slice or stack of a file, its header checked; raises DatasetError."""
    try:
        with path.open("rb") as file:
            header = pictures.read_picture_header(file)
        _check_room_for_air(header.dtype, reading.hu_offset)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}.") from None
    return [Input(safe_name(path), path, False, False, partial(_read, path, reading.hu_offset))]


def _read(path: Path, hu_offset: int) -> Volume:
    with path.open("rb") as file:
        stored = pictures.read_pictures(file)
    _check_room_for_air(stored.dtype, hu_offset)
    is_8bit = stored.dtype == np.uint8
    image = to_uint8(stored, AS_STORED) if is_8bit else to_hu(stored, Scaling(1.0, float(hu_offset)))[0]
    depth, height, width = image.shape
    return Volume(image, "uint8" if is_8bit else "hu", np.arange(depth), (depth, height, width))


def _check_room_for_air(dtype: np.dtype, hu_offset: int) -> None:
    if dtype == np.uint8 and hu_offset:
        raise DatasetError(
            f"its pixels are 8-bit grey, which is no HU. Received: --hu-offset {hu_offset}. Leave it out"
        )
    if dtype.kind == "u" and dtype.itemsize > 1 and not hu_offset:
        raise DatasetError(
            f"its pixels are {dtype}, which has no room for air at -1000 HU, so they are not HU as they stand. Say "
            "what has to be added to get HU, such as --hu-offset -1024; or give an 8-bit picture"
        )
