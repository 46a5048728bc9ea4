"""PyTorch checkpoints without PyTorch, and without running what a pickle asks for.

A checkpoint is a pickle whose tensors point to raw storages beside it. Unpickling can call any function, so the reader
knows exactly three: an ordered dict, a typed storage, and "tensor of this storage". Anything else is refused before it
is imported. Both layouts are read: the zip archive (since PyTorch 1.6) and the older single stream.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lungzoo.errors import WeightsUnavailable

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_MAX_PICKLE_BYTES = 64 * 2**20


class _StorageType(NamedTuple):
    dtype: str


class _Storage(NamedTuple):
    key: str
    dtype: str
    numel: int


class _View(NamedTuple):
    """A tensor before its storage is read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """Stands for `torch._utils._rebuild_tensor_v2`; has no attributes that a pickle could set."""

    __slots__ = ()

    def __call__(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        *_: Any,
    ) -> _View:
        sizes = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(type(size) is int and size >= 0 for size in sizes):
            raise pickle.UnpicklingError("a tensor with impossible sizes")
        return _View(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        raise pickle.UnpicklingError(f"it asks for '{module}.{name}', which no tensor needs")

    def persistent_load(self, pid: Any) -> _Storage:
        if isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and isinstance(pid[1], _StorageType):
            _, kind, key, _, numel = pid[:5]
            if isinstance(key, str) and type(numel) is int and numel >= 0 and pid[5:] in ((), (None,)):
                return _Storage(key, kind.dtype, numel)
        raise pickle.UnpicklingError("a storage that is not one")


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Read a state dict: names to tensors, nothing else.

    Args:
        path: a `.pth` or `.pt` file, in either layout.

    Returns:
        Arrays by name, in the order of the file. They own their memory.

    Raises:
        WeightsUnavailable: damaged, not a state dict, or asking for anything but tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read_zip(file) if zipfile.is_zipfile(path) else _read_legacy(file)
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError, struct.error),
        *(KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError, NotImplementedError),
    ) as error:
        reason = str(error) or type(error).__name__
        raise WeightsUnavailable(
            f"{path} is no checkpoint that can be read safely: {reason}. Fetch it again from where it was published."
        ) from error


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        (record,) = (name for name in names if name.endswith("/data.pkl") and name.count("/") == 1)
        root = record.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("big-endian storages")
        if archive.getinfo(record).file_size > _MAX_PICKLE_BYTES:
            raise ValueError("its pickle is too large for one of tensors")
        state = _Unpickler(io.BytesIO(archive.read(record))).load()

        def fetch(storage: _Storage) -> bytes:
            info = archive.getinfo(f"{root}data/{storage.key}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("compressed storages")
            return archive.read(info)

        return _arrays(state, fetch)


def _read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_PROTOCOL:
        raise ValueError("neither a zip archive nor an older checkpoint")
    if not _Unpickler(file).load()["little_endian"]:
        raise ValueError("big-endian storages")
    state = _Unpickler(file).load()
    keys = _Unpickler(file).load()
    storages = {view.storage.key: view.storage for view in _views(state).values()}
    contents: dict[str, bytes] = {}
    for key in keys:
        # Each storage: its number of elements, eight bytes, then its bytes.
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != storages[key].numel:
            raise ValueError(f"storage {key!r} has {numel} elements instead of {storages[key].numel}")
        contents[key] = file.read(numel * np.dtype(storages[key].dtype).itemsize)
    return _arrays(state, lambda storage: contents[storage.key])


def _views(state: Any) -> dict[str, _View]:
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(view, _View) for name, view in state.items()
    ):
        raise ValueError("it is not a plain state dict")
    return dict(state)


def _arrays(state: Any, fetch: Callable[[_Storage], bytes]) -> dict[str, np.ndarray]:
    return {name: _array(name, view, fetch(view.storage)) for name, view in _views(state).items()}


def _array(name: str, view: _View, content: bytes) -> np.ndarray:
    dtype = np.dtype(view.storage.dtype)
    if len(content) != view.storage.numel * dtype.itemsize:
        raise ValueError(f"the storage of '{name}' is cut short")
    size = math.prod(view.shape)
    last = view.offset + sum((side - 1) * stride for side, stride in zip(view.shape, view.strides, strict=True))
    if size and (last >= view.storage.numel or size > view.storage.numel):
        raise ValueError(f"'{name}' reaches beyond its storage")
    flat = np.frombuffer(content, dtype)[view.offset :]
    strides = [stride * dtype.itemsize for stride in view.strides]
    if not size:
        return np.zeros(view.shape, dtype)
    return np.lib.stride_tricks.as_strided(flat, view.shape, strides, writeable=False).copy()
