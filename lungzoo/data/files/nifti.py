"""NIfTI-1 and NIfTI-2 volumes, .nii and .nii.gz: the header is checked before room is made for the voxels."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from lungzoo.data.files.deflate import MAX_INFLATION
from lungzoo.data.files.values import Scaling
from lungzoo.data.files.volume import MAX_VOLUME_BYTES, FileVolume, checked_geometry, corner_distance_mm
from lungzoo.data.geometry import Geometry
from lungzoo.errors import DatasetError, missing_extra

SUFFIXES = (".nii", ".nii.gz")
_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
_MAGIC = {348: (b"n+1\0", 344), 540: (b"n+2\0\r\n\x1a\n", 4)}
_GZIP_START = b"\x1f\x8b"
_MAX_OFFSET = 16 * 2**20
_CHUNK = 4 * 2**20
_INT16 = np.iinfo(np.int16)
_BAD_GZIP = (OSError, EOFError, zlib.error)
_FORM_TOLERANCE_MM = 0.1
_REAL = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI file says of itself, checked.

    Args:
        shape_xyz: size along the file's index axes.
        dtype: of the stored numbers, byte order included.
        offset: byte where they begin.
        scaling: what makes values of them.
        geometry: the grid.
        notes: what is odd about it.
    """

    shape_xyz: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    scaling: Scaling
    geometry: Geometry
    notes: tuple[str, ...]

    @property
    def claimed_bytes(self) -> int:
        """Bytes of the voxels."""
        return int(np.prod(self.shape_xyz, dtype=object)) * self.dtype.itemsize


def read_header(file: BinaryIO) -> NiftiHeader:
    """Read and check a header, and that the file can hold what it claims.

    Args:
        file: a seekable binary file, compressed or not.

    Raises:
        DatasetError: it is no NIfTI file, is damaged, or holds something else than one real volume.
    """
    return _open(file)[0]


def read_nifti(file: BinaryIO) -> FileVolume:
    """Read a volume; numbers wider than 16 bits are kept in int16 where they all fit.

    Args:
        file: a seekable binary file, compressed or not.

    Raises:
        DatasetError: see `read_header`; or the voxels are fewer or more than claimed, or do not inflate.
    """
    header, body = _open(file)
    try:
        _skip(body, header.offset)
        flat = _voxels(body, header)
        surplus = len(body.read(1))
    except _BAD_GZIP as error:
        raise DatasetError(f"it does not inflate: {error}") from None
    if surplus:
        raise DatasetError(f"it holds more than the {header.claimed_bytes:,} bytes of voxels that its header claims")
    voxels = flat.reshape(header.shape_xyz, order="F")
    return FileVolume(voxels, header.geometry, header.scaling, header.notes)


def _open(file: BinaryIO) -> tuple[NiftiHeader, BinaryIO]:
    """Return the header and a stream of the inflated file, at its start."""
    file_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    compressed = file.read(2) == _GZIP_START
    file.seek(0)
    body: Any = gzip.GzipFile(fileobj=file) if compressed else file
    try:
        start = body.read(max(_SIZES))
        body.seek(0)
    except _BAD_GZIP as error:
        raise DatasetError(f"it does not inflate: {error}") from None
    header = parse_header(start)
    room = file_bytes * MAX_INFLATION if compressed else file_bytes
    if header.offset + header.claimed_bytes > room:
        raise DatasetError(
            f"its header claims {_size(header.shape_xyz)} voxels of {header.dtype}, {header.claimed_bytes:,} bytes, "
            f"but the file has {file_bytes:,} bytes{', compressed' if compressed else ''}: it is cut off or damaged"
        )
    return header, body


def parse_header(start: bytes) -> NiftiHeader:
    """Check the first bytes of a file and say what they mean.

    Args:
        start: the first 540 bytes, or all there are.

    Raises:
        DatasetError: see `read_header`.
    """
    fields, size = _fields(start)
    shape = _shape(fields["dim"])
    dtype = _dtype(fields)
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if claimed > MAX_VOLUME_BYTES:
        raise DatasetError(
            f"its header claims {_size(shape)} voxels of {dtype}, {claimed:,} bytes; at most {MAX_VOLUME_BYTES:,} are "
            "taken"
        )
    geometry, notes = _grid(fields, shape)
    return NiftiHeader(shape, dtype, _offset(fields, size), _scaling(fields), geometry, notes)


def _fields(start: bytes) -> tuple[Any, int]:
    """Return nibabel's header, and its size in bytes."""
    try:
        import nibabel
    except ImportError:
        raise missing_extra("nibabel", "medical", "NIfTI files") from None
    sizes = {int.from_bytes(start[:4], order): order for order in ("little", "big")}
    size = next((size for size in _SIZES if size in sizes), 0)
    if not size or len(start) < size:
        raise DatasetError(f"it is not a NIfTI file: it begins with {start[:4].hex(' ') or 'nothing'}")
    magic, at = _MAGIC[size]
    found = start[at : at + len(magic)]
    if found != magic:
        pair = found[:3] in (b"ni1", b"ni2")
        raise DatasetError(
            "it is half of a pair of .hdr and .img; convert it to one .nii file"
            if pair
            else f"it is not a NIfTI file: its magic is {found!r}"
        )
    kind = getattr(nibabel, _SIZES[size])
    return kind(start[:size], endianness="<" if sizes[size] == "little" else ">", check=False), size


def _shape(dim: np.ndarray) -> tuple[int, int, int]:
    axes = int(dim[0])
    sides = [int(side) for side in dim[1 : axes + 1]] if 1 <= axes <= 7 else []
    if len(sides) < 3 or min(sides) < 1:
        raise DatasetError(f"its header claims {axes} axes, {_size(sides) or 'no size'}; expected three, of 1 and more")
    if any(side != 1 for side in sides[3:]):
        raise DatasetError(f"it holds {_size(sides)} voxels: a series of volumes; expected one volume in a file")
    return sides[0], sides[1], sides[2]


def _dtype(fields: Any) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    known = {int(fields._data_type_codes.code[np.dtype(name).type]): np.dtype(name) for name in _REAL}
    if code not in known:
        raise DatasetError(f"its voxels have the datatype {code}; expected whole or real numbers, such as 4 (int16)")
    if bits != known[code].itemsize * 8:
        raise DatasetError(f"its header disagrees with itself: datatype {known[code]}, but {bits} bits per voxel")
    return known[code].newbyteorder(fields.endianness)


def _offset(fields: Any, size: int) -> int:
    offset = float(fields["vox_offset"])
    if not (size + 4 <= offset <= _MAX_OFFSET and offset.is_integer()):
        raise DatasetError(f"its header puts the voxels at byte {offset:g}; expected {size + 4} to {_MAX_OFFSET:,}")
    return int(offset)


def _scaling(fields: Any) -> Scaling:
    slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return Scaling()
    if not np.isfinite([slope, inter]).all():
        raise DatasetError(f"its scaling is {slope:g} and {inter:g}; expected finite numbers")
    return Scaling(slope, inter)


def _grid(fields: Any, shape: tuple[int, int, int]) -> tuple[Geometry, tuple[str, ...]]:
    """Return the grid by sform, else by qform, else by the spacing alone, and what is odd about it."""
    spacing = [float(value) for value in fields["pixdim"][1:4]]
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise DatasetError(f"its spacing is {', '.join(f'{value:g}' for value in spacing)} mm; expected above 0")
    unit = int(fields["xyzt_units"]) & 7
    if unit in (1, 3):
        raise DatasetError(f"its lengths are in {'metres' if unit == 1 else 'micrometres'}; expected mm")
    qform, broken = _qform(fields) if int(fields["qform_code"]) > 0 else (None, "")
    if int(fields["sform_code"]) > 0:
        geometry = checked_geometry(fields.get_sform())
        if broken:
            return geometry, (f"its qform is broken ({broken}); its sform was taken",)
        apart = corner_distance_mm(geometry, qform, shape[::-1]) if qform else 0.0
        odd = apart > _FORM_TOLERANCE_MM
        return geometry, ("its sform and qform disagree; its sform was taken",) if odd else ()
    if qform:
        return qform, ()
    if broken:
        raise DatasetError(f"its qform is broken ({broken}), and it has no sform")
    note = "it says nothing of its orientation; its axes were taken to grow to the left, the front and the head"
    return checked_geometry(fields.get_base_affine()), (note,)


def _qform(fields: Any) -> tuple[Geometry | None, str]:
    """Return the qform's grid, or what is wrong with it."""
    from nibabel.spatialimages import HeaderDataError

    quaternion = np.array([fields[f"quatern_{name}"] for name in "bcd"], float)
    if not np.isfinite(quaternion).all() or np.abs(quaternion).max() > 1.001:
        return None, "quaternion"
    if float(fields["pixdim"][0]) not in (-1.0, 0.0, 1.0):
        return None, f"pixdim[0] is {float(fields['pixdim'][0]):g}"
    try:
        return checked_geometry(fields.get_qform()), ""
    except (DatasetError, HeaderDataError, ValueError) as error:
        return None, str(error)


def _skip(body: BinaryIO, count: int) -> None:
    while count:
        skipped = len(body.read(min(count, _CHUNK)))
        if not skipped:
            raise EOFError("it ends before its voxels begin")
        count -= skipped


def _voxels(body: Any, header: NiftiHeader) -> np.ndarray:
    """Return the voxels in one row: in int16 where wider numbers fit, as HU do, else as they are stored."""
    dtype, count = header.dtype, header.claimed_bytes // header.dtype.itemsize
    if dtype.itemsize <= 2:
        flat = np.empty(count, dtype)
        _fill(body, flat, header)
        return flat
    flat, part = np.empty(count, np.int16), np.empty(_CHUNK // dtype.itemsize, dtype)
    for start in range(0, count, len(part)):
        values = part[: count - start]
        _fill(body, values, header, start)
        if not _fits_int16(values):
            wide = np.empty(count, dtype)
            wide[:start], wide[start : start + len(values)] = flat[:start], values
            del flat
            _fill(body, wide[start + len(values) :], header, start + len(values))
            return wide
        flat[start : start + len(values)] = values
    return flat


def _fits_int16(values: np.ndarray) -> bool:
    low, high = values.min(), values.max()
    if not (_INT16.min <= low and high <= _INT16.max):  # NaN is not
        return False
    return values.dtype.kind != "f" or bool((np.rint(values) == values).all())


def _fill(body: Any, part: np.ndarray, header: NiftiHeader, start: int = 0) -> None:
    """Read voxels into `part`, which begins at voxel `start`."""
    view, filled = part.view(np.uint8).data, 0
    while filled < len(view):
        got = body.readinto(view[filled : filled + _CHUNK])
        if not got:
            raise DatasetError(
                f"it ends after {start * part.itemsize + filled:,} of the {header.claimed_bytes:,} bytes that its "
                "header claims"
            )
        filled += got


def _size(shape: Any) -> str:
    return "×".join(map(str, shape))
