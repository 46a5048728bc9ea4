"""MetaImage volumes, .mhd with .raw or .zraw beside it, or .mha with both: the header is checked first."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.data.files.deflate import fits, inflate
from lungzoo.data.files.volume import MAX_VOLUME_BYTES, FileVolume, checked_geometry
from lungzoo.data.geometry import Geometry
from lungzoo.errors import DatasetError

_MAX_HEADER = 64 * 2**10
_LOCAL = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*LOCAL[ \t]*\r?\n", re.I | re.M)
_TYPES = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2"},
    **{"MET_INT": "i4", "MET_UINT": "u4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
_SAME = {  # other words for a key
    "origin": "offset",
    "position": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}


@dataclass(frozen=True)
class MetaHeader:
    """What a .mhd or .mha file says, checked.

    Args:
        shape_xyz: size along the file's index axes.
        dtype: of the stored numbers, byte order included.
        geometry: the grid.
        data: the file of the voxels.
        compressed: it has to be inflated.
        offset: byte of that file where they begin.
    """

    shape_xyz: tuple[int, int, int]
    dtype: np.dtype[Any]
    geometry: Geometry
    data: Path
    compressed: bool
    offset: int = 0

    @property
    def claimed_bytes(self) -> int:
        """Bytes of the voxels."""
        return int(np.prod(self.shape_xyz, dtype=object)) * self.dtype.itemsize


def read_meta_header(path: Path) -> MetaHeader:
    """Read and check a .mhd or .mha file, and the size of the file of voxels.

    Raises:
        DatasetError: it is not a MetaImage of one real volume, leads elsewhere, or claims what cannot be there.
    """
    keys, offset = _keys(path)
    _check_kind(keys)
    shape = _wholes(keys, "dimsize", 3)
    kind = keys.get("elementtype", "")
    if kind not in _TYPES:
        raise DatasetError(f"its ElementType is '{kind}'; allowed are {', '.join(_TYPES)}")
    order = ">" if _is_true(keys, "binarydatabyteordermsb") else "<"
    data = path if offset else path.parent / _data_name(keys)
    sides = (shape[0], shape[1], shape[2])
    compressed = _is_true(keys, "compresseddata")
    header = MetaHeader(sides, np.dtype(order + _TYPES[kind]), _grid(keys), data, compressed, offset)
    _check_size(header)
    return header


def read_metaimage(path: Path) -> FileVolume:
    """Read a volume; raises DatasetError as `read_meta_header` does, or where its voxels do not inflate."""
    header = read_meta_header(path)
    flat = np.empty(header.claimed_bytes // header.dtype.itemsize, header.dtype)
    view = flat.view(np.uint8).data
    try:
        with header.data.open("rb") as file:
            file.seek(header.offset)
            filled = inflate(file, view) if header.compressed else file.readinto(view)
    except (OSError, zlib.error) as error:
        raise DatasetError(f"{header.data.name} cannot be read: {error}") from None
    if filled != len(view):
        raise DatasetError(f"{header.data.name} ends after {filled:,} of {len(view):,} bytes")
    return FileVolume(flat.reshape(header.shape_xyz, order="F"), header.geometry)


def _keys(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's values by key in lower case, each key once, and its length where the voxels follow it."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_HEADER + 1)
    except OSError as error:
        raise DatasetError(f"it cannot be read: {error.strerror or error}") from None
    local = _LOCAL.search(text) if path.suffix.lower() == ".mha" else None
    offset = local.end() if local else 0
    text = text[:offset] if local else text
    if len(text) > _MAX_HEADER:
        raise DatasetError(f"it is no .mhd header: more than {_MAX_HEADER:,} bytes")
    keys: dict[str, str] = {}
    for line in text.decode("latin1").splitlines():
        key, equals, value = line.partition("=")
        name = key.strip().lower()
        name = _SAME.get(name, name)
        if not line.strip():
            continue
        if not equals or name in keys:
            raise DatasetError(f"its header is broken at '{line[:40]}'; expected 'key = value', each key once")
        keys[name] = value.strip()
    return keys, offset


def _check_kind(keys: dict[str, str]) -> None:
    """Raise DatasetError for what MetaImage can be and a CT volume is not."""
    if keys.get("objecttype", "Image").lower() != "image" or keys.get("ndims") != "3":
        raise DatasetError(f"it is not a MetaImage of three axes: NDims is '{keys.get('ndims', '')}'")
    if not _is_true(keys, "binarydata", "True"):
        raise DatasetError("its voxels are written as text; expected BinaryData = True")
    for key, allowed in {"elementnumberofchannels": ("1",), "headersize": ("0",)}.items():
        if keys.get(key, allowed[0]) not in allowed:
            raise DatasetError(f"its {key} is {keys[key]}; expected {allowed[0]}")


def _data_name(keys: dict[str, str]) -> str:
    """Return the name of the file of voxels; it lies beside the header, or is refused."""
    name = keys.get("elementdatafile", "")
    special = name.split(" ")[0].upper() in ("LIST", "LOCAL") or "%" in name
    outside = any(sign in name for sign in ("/", "\\", "\0", ":")) or name in ("", ".", "..")
    if special or outside:
        raise DatasetError(
            f"its ElementDataFile is '{name}'; expected the name of one file beside it, such as scan.raw"
        )
    return name


def _grid(keys: dict[str, str]) -> Geometry:
    spacing = _reals(keys, "elementspacing", 3, "1 1 1")
    if min(spacing) <= 0:
        raise DatasetError(f"its spacing is {keys['elementspacing']} mm; expected above 0")
    offset = _reals(keys, "offset", 3, "0 0 0")
    # Each axis is a row here and a column in ITK.
    axes = np.array(_reals(keys, "transformmatrix", 9, "1 0 0 0 1 0 0 0 1")).reshape(3, 3).T
    if np.abs(np.linalg.norm(axes, axis=0) - 1).max() > 1e-3:
        raise DatasetError("the axes of its TransformMatrix are not of length 1")
    in_lps = np.column_stack([axes * spacing, offset])
    return checked_geometry(np.diag([-1.0, -1.0, 1.0]) @ in_lps)


def _check_size(header: MetaHeader) -> None:
    size = "×".join(map(str, header.shape_xyz))
    claimed = header.claimed_bytes
    if claimed > MAX_VOLUME_BYTES:
        raise DatasetError(
            f"its header claims {size} voxels, {claimed:,} bytes; at most {MAX_VOLUME_BYTES:,} are taken"
        )
    if not header.data.is_file():
        raise DatasetError(f"the file of its voxels, {header.data.name}, is missing")
    there = header.data.stat().st_size - header.offset
    if not fits(claimed, there, header.compressed):
        raise DatasetError(f"its header claims {size} voxels, {claimed:,} bytes; {header.data.name} has {there:,}")


def _is_true(keys: dict[str, str], key: str, default: str = "False") -> bool:
    value = keys.get(key, default).lower()
    if value not in ("true", "false", "1", "0"):
        raise DatasetError(f"its {key} is '{value}'; expected True or False")
    return value in ("true", "1")


def _wholes(keys: dict[str, str], key: str, count: int) -> list[int]:
    numbers = _reals(keys, key, count, "")
    if not all(number.is_integer() and 1 <= number < 2**31 for number in numbers):
        raise DatasetError(f"its {key} is '{keys[key]}'; expected {count} whole numbers from 1")
    return [int(number) for number in numbers]


def _reals(keys: dict[str, str], key: str, count: int, default: str) -> list[float]:
    text = keys.get(key, default)
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DatasetError(f"its {key} is '{text[:60]}'; expected {count} numbers")
    return numbers
