"""NRRD volumes, .nrrd with the voxels in the same file: the header is checked before room is made for them.

Source: the definition of the format, https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from lungzoo.data.files.deflate import GZIP, fits, inflate
from lungzoo.data.files.volume import MAX_VOLUME_BYTES, FileVolume, checked_geometry
from lungzoo.data.geometry import Geometry
from lungzoo.errors import DatasetError

SUFFIXES = (".nrrd",)
_MAX_HEADER = 64 * 2**10
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **{"float": "f4", "double": "f8"},
}
# What makes RAS of the axes of a space.
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}
_VECTOR = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True)
class NrrdHeader:
    """What a NRRD file says of itself, checked.

    Args:
        shape_xyz: size along the file's index axes.
        dtype: of the stored numbers, byte order included.
        geometry: the grid.
        offset: byte where the voxels begin.
        compressed: they have to be inflated (gzip).
    """

    shape_xyz: tuple[int, int, int]
    dtype: np.dtype[Any]
    geometry: Geometry
    offset: int
    compressed: bool

    @property
    def claimed_bytes(self) -> int:
        """Bytes of the voxels."""
        return int(np.prod(self.shape_xyz, dtype=object)) * self.dtype.itemsize


def read_nrrd_header(file: BinaryIO) -> NrrdHeader:
    """Read and check a header, and that the file can hold what it claims.

    Args:
        file: a seekable binary file.

    Raises:
        DatasetError: it is no NRRD of one real volume with a place in the patient, or claims what cannot be there.
    """
    fields, offset = _fields(file)
    _check_kind(fields)
    shape = _shape(fields)
    kind = fields.get("type", "").lower()
    if kind not in _TYPES:
        raise DatasetError(f"its type is '{kind}'; allowed are {', '.join(dict.fromkeys(_TYPES))}")
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise DatasetError(f"its encoding is '{encoding}'; allowed are raw and gzip")
    dtype = np.dtype(_order(fields, _TYPES[kind]) + _TYPES[kind])
    header = NrrdHeader(shape, dtype, _grid(fields), offset, encoding != "raw")
    _check_size(header, file)
    return header


def read_nrrd(file: BinaryIO) -> FileVolume:
    """Read a volume; raises DatasetError as `read_nrrd_header` does, or where its voxels do not inflate."""
    header = read_nrrd_header(file)
    flat = np.empty(header.claimed_bytes // header.dtype.itemsize, header.dtype)
    view = flat.view(np.uint8).data
    file.seek(header.offset)
    try:
        filled = inflate(file, view, GZIP) if header.compressed else file.readinto(view)  # type: ignore[attr-defined]
    except zlib.error as error:
        raise DatasetError(f"it does not inflate: {error}") from None
    if filled != len(view):
        raise DatasetError(f"it ends after {filled:,} of the {len(view):,} bytes that its header claims")
    return FileVolume(flat.reshape(header.shape_xyz, order="F"), header.geometry)


def _fields(file: BinaryIO) -> tuple[dict[str, str], int]:
    """Return the header's fields by name in lower case, and the byte after the blank line that ends it."""
    file.seek(0)
    start = file.read(_MAX_HEADER)
    if not start.startswith(b"NRRD000"):
        raise DatasetError(f"it is not a NRRD file: it begins with {start[:8].hex(' ') or 'nothing'}")
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None:
        raise DatasetError(f"its header does not end within {_MAX_HEADER:,} bytes; expected a blank line after it")
    fields: dict[str, str] = {}
    for line in start[: end.start()].decode("latin1").splitlines()[1:]:
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or name in fields:
            raise DatasetError(f"its header is broken at '{line[:40]}'; expected 'field: value', each field once")
        fields[name] = value.strip()
    return fields, end.end()


def _check_kind(fields: dict[str, str]) -> None:
    """Raise DatasetError for what a NRRD can be and one CT volume in a file is not."""
    if fields.get("dimension") != "3":
        raise DatasetError(f"its dimension is '{fields.get('dimension', '')}'; expected 3, one volume of grey values")
    for name in ("data file", "datafile"):
        if name in fields:
            raise DatasetError(f"its voxels are in other files ('{fields[name][:60]}'); expected them in the same file")
    for name in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(name, "0") != "0":
            raise DatasetError(f"its {name} is {fields[name]}; expected 0")


def _shape(fields: dict[str, str]) -> tuple[int, int, int]:
    words = fields.get("sizes", "").split()
    if len(words) != 3 or not all(word.isdigit() and 1 <= int(word) < 2**31 for word in words):
        raise DatasetError(f"its sizes are '{fields.get('sizes', '')}'; expected three whole numbers from 1")
    return int(words[0]), int(words[1]), int(words[2])


def _order(fields: dict[str, str], kind: str) -> str:
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big") and not (kind.endswith("1") and not endian):
        raise DatasetError(f"its endian is '{endian}'; expected little or big")
    return ">" if endian == "big" else "<"


def _grid(fields: dict[str, str]) -> Geometry:
    space = fields.get("space", "").lower()
    if space not in _SPACES:
        raise DatasetError(
            f"its space is '{space}', so where it lies in the patient is unknown; allowed are "
            f"{', '.join(name for name in _SPACES if len(name) > 3)}"
        )
    if (units := fields.get("space units", '"mm"').replace('"', " ").split()) and set(units) != {"mm"}:
        raise DatasetError(f"its space units are {' '.join(units)}; expected mm")
    axes = [_vector(text, "space directions") for text in _VECTOR.findall(fields.get("space directions", ""))]
    origin = [_vector(text, "space origin") for text in _VECTOR.findall(fields.get("space origin", ""))]
    if len(axes) != 3 or len(origin) != 1:
        raise DatasetError("it needs three space directions and a space origin, which place it in the patient")
    return checked_geometry(np.diag(_SPACES[space]) @ np.column_stack([*axes, *origin]))


def _vector(text: str, name: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise DatasetError(f"its {name} hold '({text[:40]})'; expected three numbers")
    return numbers


def _check_size(header: NrrdHeader, file: BinaryIO) -> None:
    size, claimed = "×".join(map(str, header.shape_xyz)), header.claimed_bytes
    if claimed > MAX_VOLUME_BYTES:
        raise DatasetError(
            f"its header claims {size} voxels, {claimed:,} bytes; at most {MAX_VOLUME_BYTES:,} are taken"
        )
    there = file.seek(0, io.SEEK_END) - header.offset
    if not fits(claimed, there, header.compressed):
        raise DatasetError(f"its header claims {size} voxels, {claimed:,} bytes; {there:,} follow it")
