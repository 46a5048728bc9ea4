"""PNG, TIFF and NPY: single slices or stacks, grey, sizes checked before decoding."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from lungzoo.data.files.volume import MAX_VOLUME_BYTES
from lungzoo.errors import DatasetError

SUFFIXES = (".png", ".tif", ".tiff", ".npy")
MAX_SIDE_PX = 8192
MAX_PAGES = 4096
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TIFF_STARTS = (b"II*\0", b"MM\0*")
_NPY_START = b"\x93NUMPY"
_MODES = {"1": "u1", "L": "u1", "I;16": "u2", "I;16B": "u2", "I;16L": "u2", "I": "i4", "F": "f4"}


@dataclass(frozen=True)
class PictureHeader:
    """Size and kind of a picture or stack.

    Args:
        shape_zyx: its size; one slice has depth 1.
        dtype: of its pixels.
    """

    shape_zyx: tuple[int, int, int]
    dtype: np.dtype[Any]


def read_picture_header(file: BinaryIO) -> PictureHeader:
    """Read size and kind; raises DatasetError for what is not a grey PNG, TIFF or NPY."""
    file.seek(0)
    header = _format(file)[0](file)
    depth, height, width = header.shape_zyx
    if max(height, width) > MAX_SIDE_PX or depth > MAX_PAGES or min(header.shape_zyx) < 1:
        raise DatasetError(
            f"it is {depth} × {height}×{width} pixels large; at most {MAX_PAGES:,} slices of "
            f"{MAX_SIDE_PX:,}×{MAX_SIDE_PX:,} are taken"
        )
    if depth * height * width * header.dtype.itemsize > MAX_VOLUME_BYTES:
        raise DatasetError(f"it claims {depth} × {height}×{width} pixels, more than {MAX_VOLUME_BYTES:,} bytes")
    return header


def read_pictures(file: BinaryIO) -> np.ndarray:
    """Read a picture or stack.

    Args:
        file: a seekable binary file.

    Returns:
        (Z, H, W), of the type that it was stored in; black and white as uint8 {0, 1}.

    Raises:
        DatasetError: it is damaged, or not grey.
    """
    header = read_picture_header(file)
    read = _format(file)[1]
    file.seek(0)
    pixels = read(file)
    if pixels.shape != header.shape_zyx:
        raise DatasetError(f"it decodes to {pixels.shape}, not to the {header.shape_zyx} that its header claims")
    return pixels


def _format(file: BinaryIO) -> tuple[Callable[[BinaryIO], PictureHeader], Callable[[BinaryIO], np.ndarray]]:
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start == _PNG_START:
        return _png_header, _read_png
    if start[:4] in _TIFF_STARTS:
        return _tiff_header, _read_tiff
    if start[:6] == _NPY_START:
        return _npy_header, _read_npy
    raise DatasetError(f"it is not a PNG, TIFF or NPY file: it begins with {start.hex(' ') or 'nothing'}")


def _png_header(file: BinaryIO) -> PictureHeader:
    start = file.read(26)
    if len(start) < 26 or start[12:16] != b"IHDR":
        raise DatasetError("it is cut off: a PNG without a header")
    width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
    if colour != 0 or bits not in (1, 8, 16):
        kind = {0: "grey", 2: "colour", 3: "a palette", 4: "grey with transparency", 6: "colour with transparency"}
        raise DatasetError(
            f"it is a PNG of {bits} bits, {kind.get(colour, 'unknown')}; expected grey of 1, 8 or 16 bits"
        )
    return PictureHeader((1, height, width), np.dtype("u2" if bits == 16 else "u1"))


def _read_png(file: BinaryIO) -> np.ndarray:
    data = file.read()
    if _PNG_END not in data:
        raise DatasetError("it is cut off: a PNG without an end")
    return _pages(io.BytesIO(data), "PNG", 1)


def _tiff_header(file: BinaryIO) -> PictureHeader:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=["TIFF"]) as picture:
                pages, mode, (width, height) = int(getattr(picture, "n_frames", 1)), picture.mode, picture.size
        except Exception as error:  # decoders raise all sorts of things on damaged files
            raise DatasetError(f"its TIFF header is broken: {_first_line(error)}") from None
    if mode not in _MODES:
        raise DatasetError(f"it is a TIFF of mode {mode}; expected one grey channel")
    return PictureHeader((pages, height, width), np.dtype(_MODES[mode]))


def _read_tiff(file: BinaryIO) -> np.ndarray:
    header = _tiff_header(file)
    file.seek(0)
    return _pages(file, "TIFF", header.shape_zyx[0])


def _pages(file: BinaryIO, kind: str, count: int) -> np.ndarray:
    """Decode `count` pages of one size and mode."""
    from PIL import Image

    pages: list[np.ndarray] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=[kind]) as picture:
                size = picture.size
                for page in range(count):
                    if page:
                        picture.seek(page)
                    if picture.size != size or picture.mode not in _MODES:
                        raise DatasetError(
                            f"its page {page} is {picture.size} {picture.mode}, the first {size}; expected alike"
                        )
                    pages.append(np.asarray(picture).astype(_MODES[picture.mode], copy=False))
        except DatasetError:
            raise
        except Exception as error:
            raise DatasetError(f"it does not decode: {_first_line(error)}") from None
    return np.stack(pages)


def _npy_header(file: BinaryIO) -> PictureHeader:
    shape, dtype, _ = _npy_facts(file)
    return PictureHeader(shape, dtype)


def _npy_facts(file: BinaryIO) -> tuple[tuple[int, int, int], np.dtype[Any], bool]:
    """Return (Z, H, W), type and whether the order is Fortran's; leaves the file at the first number."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise ValueError(f"version {version}")
        shape, fortran, dtype = readers[version](file)
    except Exception as error:
        raise DatasetError(f"its NPY header is broken: {_first_line(error)}") from None
    if dtype.hasobject or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DatasetError(f"it holds {dtype}; expected numbers")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise DatasetError(f"its shape is {shape}; expected (H, W) or (Z, H, W)")
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    here = file.tell()
    there = file.seek(0, io.SEEK_END) - here
    file.seek(here)
    if there != claimed:
        raise DatasetError(f"its header claims {shape} of {dtype}, {claimed:,} bytes; there are {there:,}")
    depth, height, width = (1, *shape) if len(shape) == 2 else shape
    return (depth, height, width), dtype, fortran


def _read_npy(file: BinaryIO) -> np.ndarray:
    shape, dtype, fortran = _npy_facts(file)
    flat = np.frombuffer(file.read(), dtype)
    # Of a 2D array in Fortran's order the leading 1 goes last.
    pixels = flat.reshape(shape[::-1]).transpose(2, 1, 0) if fortran else flat.reshape(shape)
    return pixels.view(np.uint8) if dtype.kind == "b" else pixels


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
