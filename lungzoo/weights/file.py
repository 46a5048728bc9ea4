"""The weights file: an `.npz` of {variable name: array}, with those of a second stage under "second_stage/".

It holds numbers and nothing else. It is read by lungzoo's own code, which checks the hash first, refuses pickled
objects, never extracts a member, and takes no size on trust.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from lungzoo.errors import LungzooError, WeightsUnavailable, storage_error
from lungzoo.weights.manifest import MAX_BYTES
from lungzoo.weights.names import SECOND_STAGE, named_variables

Arrays = dict[str, np.ndarray]

_MAX_RATIO = 100
_RATIO_MATTERS_BYTES, _TOTAL_MATTERS_BYTES = 2**20, 2**24
_MAX_DIRECTORY_BYTES = 2**22  # of some 40,000 members
_ZIP_END_BYTES, _ZIP64_LOCATOR_BYTES = 22, 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NUMBERS = "biuf"


def weights_of(model: Any) -> Arrays:
    """Return the weights of a `keras.Model`, by structural name."""
    return {name: _values(variable) for name, variable in named_variables(model).items()}


def write_weights(
    model: Any,
    path: Path,
    dtype: Literal["float16"] | None = None,
    second_stage: Mapping[str, np.ndarray] | None = None,
) -> str:
    """Write the weights of a `keras.Model`; the file appears whole or not at all.

    Args:
        model: the model.
        path: file to write, ending in `.npz`; its folder is made.
        dtype: "float16" stores kernels in half the space. Vectors, such as the statistics of BatchNorm, and kernels
            beyond the range of float16 stay as they are.
        second_stage: arrays of the classifier of what the model marks, which go into the file as they are.

    Returns:
        The sha256 of the file, 64 hex digits; equal weights give equal files.

    Raises:
        StorageError: the file cannot be written.
    """
    arrays = {name: _stored(array, dtype) for name, array in weights_of(model).items()}
    arrays |= {f"{SECOND_STAGE}{name}": array for name, array in (second_stage or {}).items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w+b") as file:
                _write_arrays(file, arrays)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("write the weights to", error) from error
    return digest


def read_weights(path: Path, sha256: str | None = None, size_bytes: int | None = None) -> Arrays:
    """Read a weights file.

    Args:
        path: the file.
        sha256: what its sha256 must be, checked before anything of it is parsed; None takes any.
        size_bytes: what its size must be, compared before anything of it is read; None takes any.

    Returns:
        {variable name: array of finite numbers}.

    Raises:
        WeightsUnavailable: the file is absent, is another one, is damaged, or is no weights file.
    """
    try:
        _check_file(path, size_bytes)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 is not None and found != sha256:
                raise WeightsUnavailable(
                    f"{path} is not the file that its manifest describes: sha256 {found[:12]}…, expected "
                    f"{sha256[:12]}…. Delete it and fetch it again."
                )
            return _read_arrays(file, path)
    except OSError as error:
        raise WeightsUnavailable(f"Cannot read {path}: {error.strerror or error}. Check the path.") from None


def _check_file(path: Path, size_bytes: int | None) -> None:
    """Refuse what is no plain file, which may never end, and what has another size."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise WeightsUnavailable(f"{path} is no file. Give an .npz, or a folder with one and its manifest.")
    if size_bytes is not None and about.st_size != size_bytes:
        raise WeightsUnavailable(
            f"{path} is not the file that its manifest describes: {about.st_size} bytes, expected {size_bytes}. "
            "Delete it and fetch it again."
        )


def _values(variable: Any) -> np.ndarray:
    value = variable.value
    # A copy: on the CPU a backend may hand out its own memory.
    array = np.array(value.numpy() if hasattr(value, "numpy") else np.asarray(value))
    return array if array.dtype.kind in _NUMBERS else array.astype(np.float32)  # bfloat16 is no type of NumPy's own


def _stored(array: np.ndarray, dtype: str | None) -> np.ndarray:
    if dtype is None or array.dtype.kind != "f" or array.ndim < 2:
        return array
    fits = array.size == 0 or float(np.abs(array).max()) <= float(np.finfo(dtype).max)
    return array.astype(dtype) if fits else array


def _write_arrays(file: IO[bytes], arrays: Arrays) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            # ZipInfo's own date is fixed, so that equal weights give equal bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[name], order="C"), allow_pickle=False)


def _read_arrays(file: IO[bytes], path: Path) -> Arrays:
    try:
        _check_directory(file, path)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members, path, os.fstat(file.fileno()).st_size)
            return {info.filename.removesuffix(".npy"): _read_array(archive, info, path) for info in members}
    except LungzooError:
        raise
    except Exception as error:  # a hostile file can make the parsers raise anything
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise _refusal(path, f"it is damaged ({reason})") from None


def _check_directory(file: IO[bytes], path: Path) -> None:
    """Refuse a list of members that alone would fill the memory; `zipfile` reads all of it when it opens a file."""
    end = os.fstat(file.fileno()).st_size
    file.seek(max(0, end - _ZIP_END_BYTES - _ZIP64_LOCATOR_BYTES))
    last = file.read()
    locator, record = last[:-_ZIP_END_BYTES], last[-_ZIP_END_BYTES:]
    if not record.startswith(b"PK\x05\x06") or record[-2:] != b"\0\0":
        raise _refusal(path, "it is damaged (File is not a zip file, or goes on behind its end)")
    (size,) = struct.unpack("<I", record[12:16])
    if size > _MAX_DIRECTORY_BYTES or locator.startswith(b"PK\x06\x07"):
        raise _refusal(path, "it lists more members than any model has weights")


def _check_members(members: list[zipfile.ZipInfo], path: Path, file_bytes: int) -> None:
    """Refuse what no weights file has, before any member is opened."""
    names = [info.filename for info in members]
    if not names:
        raise _refusal(path, "it is empty")
    if len(set(names)) < len(names):
        raise _refusal(path, "two of its arrays have the same name")
    for info in members:
        name = info.filename
        if not name.endswith(".npy"):
            raise _refusal(path, f"it contains '{name[:80]}', which is no array")
        if name.startswith("/") or "\\" in name or {"", ".", ".."} & set(name.split("/")):
            raise _refusal(path, f"the name '{name[:80]}' is not one of a variable")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise _refusal(path, f"'{name}' is encrypted or packed in an unknown way")
        swollen = info.file_size > _MAX_RATIO * max(info.compress_size, 1)
        if swollen and info.file_size > _RATIO_MATTERS_BYTES:
            raise _refusal(path, f"'{name}' would unpack to {info.file_size} bytes from {info.compress_size}")
    packed, total = sum(info.compress_size for info in members), sum(info.file_size for info in members)
    if packed > file_bytes:
        raise _refusal(path, f"its members overlap: {packed} bytes of them in a file of {file_bytes}")
    if total > max(_MAX_RATIO * packed, _TOTAL_MATTERS_BYTES):
        raise _refusal(path, f"it would unpack to {total} bytes from {packed}")
    if total > MAX_BYTES:
        raise _refusal(path, f"it would unpack to {total} bytes; at most {MAX_BYTES} are read")


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as member:
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[np.lib.format.read_magic(member)](member)
        if dtype.kind not in _NUMBERS:
            raise _refusal(path, f"'{name}' holds {dtype}, not numbers")
        size = dtype.itemsize
        for side in shape:
            size *= int(side)
        # Compared before memory is set aside: a header can claim any shape.
        if min(shape, default=0) < 0 or size != info.file_size - member.tell():
            raise _refusal(path, f"'{name}' claims the shape {shape}, which is not what it holds")
        array = np.frombuffer(member.read(), dtype).reshape(shape, order="F" if fortran else "C")
        member.read(1)  # past the end, where the checksum is compared
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise _refusal(path, f"'{name}' has values that are not finite")
    return array


def _refusal(path: Path, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"{path} cannot be used as a weights file: {reason}. Fetch or write it again.")
