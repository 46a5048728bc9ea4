"""Datasets of an HDF5 file, opened only if all of their bytes lie in the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    import h5py

MAX_CHUNK_BYTES = 256 * 2**20
_BLOCK_BYTES = 16 * 2**20
_CACHE_BYTES = 16 * 2**20
_MAX_GAIN = 1100  # of filters, over what is stored
_MAX_ROWS = 10_000_000
_MAX_TEXT_BYTES = 256
_MAX_COLUMN_BYTES = 256 * 2**20
# Many rows may point to one long text, so few are read at a time until their length is known.
_TEXTS_AT_ONCE, _VALUES_AT_ONCE = 256, 65_536
# deflate, shuffle, fletcher32, szip, nbit, scale-offset, LZF; others are code that HDF5 would load from elsewhere.
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
# What HDF5 raises on a damaged file.
_BROKEN = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading; raises DatasetError where it is none.

    The HDF5 library can hang or crash on a damaged file: only `process.py` calls this.
    """
    import h5py

    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except _BROKEN as error:
        raise DatasetError(f"not a sound HDF5 file: {_short(error)}") from None


def find_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset by its path within the file.

    Raises:
        DatasetError: there is none; or a link, a virtual dataset, external storage, a filter that is not built in, or
            an oversized chunk is on the way.
    """
    import h5py

    here = file
    for part in name.strip("/").split("/"):
        try:
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
            if link is None:
                raise DatasetError(f"has no dataset '{name}'. It has: {', '.join(_listing(file)) or 'none'}")
            if not isinstance(link, h5py.HardLink):
                raise DatasetError(f"'{name}' is a link elsewhere; only what lies in the file itself is read")
            here = here[part]
        except _BROKEN as error:
            raise DatasetError(f"'{name}' cannot be opened: {_short(error)}") from None
    if not isinstance(here, h5py.Dataset):
        raise DatasetError(f"'{name}' is a folder, not a dataset. The file has: {', '.join(_listing(file)) or 'none'}")
    try:
        _check_storage(here, name)
    except _BROKEN as error:
        raise DatasetError(f"'{name}' cannot be opened: {_short(error)}") from None
    return here


def blocks(*datasets: h5py.Dataset) -> Iterator[tuple[Any, ...]]:
    """Yield (first row, rows of each dataset) in order, in blocks of a few MiB, or of one row where that is more.

    Raises:
        DatasetError: rows cannot be read.
    """
    step = max(_BLOCK_BYTES // max(sum(_row_bytes(dataset) for dataset in datasets), 1), 1)
    # Whole chunks, where one fits, are unpacked once.
    in_chunk = max((d.chunks[0] for d in datasets if d.chunks and d.chunks[0] <= step), default=1)
    step -= step % in_chunk
    for start in range(0, len(datasets[0]), step):
        try:
            yield start, *(dataset[start : start + step] for dataset in datasets)
        except _BROKEN as error:
            raise DatasetError(f"rows from {start} cannot be read: {_short(error)}") from None


def texts(dataset: h5py.Dataset) -> list[str]:
    """Return a dataset of one text or whole number per row; raises DatasetError for anything else, or too long."""
    import h5py

    kind = h5py.check_string_dtype(dataset.dtype)
    if dataset.ndim != 1 or len(dataset) > _MAX_ROWS or (kind is None and dataset.dtype.kind not in "iu"):
        raise DatasetError(
            f"'{dataset.name}' is {dataset.dtype} {dataset.shape}; expected one text or whole number per row"
        )
    if dataset.dtype.itemsize > _MAX_TEXT_BYTES:
        raise DatasetError(
            f"'{dataset.name}' has room for texts of {dataset.dtype.itemsize:,} bytes; at most {_MAX_TEXT_BYTES} are "
            "taken"
        )
    varies = kind is not None and kind.length is None
    if varies and _chunk_bytes(dataset) > _CACHE_BYTES:
        raise DatasetError(f"'{dataset.name}' has its texts in chunks of more than {_CACHE_BYTES:,} bytes")
    found: list[str] = []
    total = 0
    step = _TEXTS_AT_ONCE if varies else _VALUES_AT_ONCE
    for start in range(0, len(dataset), step):
        part = _text_rows(dataset, kind is not None, slice(start, start + step))
        total += sum(map(len, part))
        if max(map(len, part)) > _MAX_TEXT_BYTES:
            raise DatasetError(f"'{dataset.name}' holds a text of more than {_MAX_TEXT_BYTES} characters")
        if total > _MAX_COLUMN_BYTES:
            raise DatasetError(f"'{dataset.name}' holds more than {_MAX_COLUMN_BYTES:,} characters")
        found += part
    return found


def _text_rows(dataset: h5py.Dataset, is_text: bool, rows: slice) -> list[str]:
    try:
        return [str(value) for value in (dataset.asstr()[rows] if is_text else dataset[rows])]
    except _BROKEN as error:
        raise DatasetError(f"'{dataset.name}' cannot be read: {_short(error)}") from None


def _row_bytes(dataset: h5py.Dataset) -> int:
    return int(np.prod(dataset.shape[1:], dtype=object)) * int(dataset.dtype.itemsize)


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return int(np.prod(dataset.chunks or (0,), dtype=object)) * int(dataset.dtype.itemsize)


def _check_storage(dataset: h5py.Dataset, name: str) -> None:
    if dataset.is_virtual or dataset.external:
        raise DatasetError(f"'{name}' has its numbers in other files; only what lies in the file itself is read")
    if dataset.shape is None or dataset.ndim < 1:
        raise DatasetError(f"'{name}' is one value; expected rows")
    if dataset.dtype.kind not in "buifSO" or (dataset.dtype.kind == "O" and not _is_text(dataset)):
        raise DatasetError(f"'{name}' holds {dataset.dtype}; expected numbers or texts")
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(n)[0] for n in range(plist.get_nfilters())]
    strange = [code for code in codes if code not in _FILTERS]
    if strange:
        raise DatasetError(f"'{name}' is packed by filter {strange[0]}; allowed are {', '.join(_FILTERS.values())}")
    claimed = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    stored = int(dataset.id.get_storage_size())
    chunk = _chunk_bytes(dataset)
    if chunk > MAX_CHUNK_BYTES:
        raise DatasetError(f"'{name}' has chunks of {chunk:,} bytes; at most {MAX_CHUNK_BYTES:,} are taken")
    if claimed > stored * _MAX_GAIN:
        raise DatasetError(f"'{name}' claims {dataset.shape}, {claimed:,} bytes, of which {stored:,} were ever written")
    # Rows read in several goes unpack all chunks that they cross anew each time.
    rows = min(dataset.chunks[0], len(dataset)) if dataset.chunks else 1
    if rows > 1 and rows * _row_bytes(dataset) > MAX_CHUNK_BYTES:
        raise DatasetError(
            f"'{name}' has chunks across {rows:,} rows, {rows * _row_bytes(dataset):,} bytes of them; at most "
            f"{MAX_CHUNK_BYTES:,} are taken. Write it with chunks of a few whole rows, as h5repack -l does"
        )


def _is_text(dataset: h5py.Dataset) -> bool:
    import h5py

    return h5py.check_string_dtype(dataset.dtype) is not None


def _listing(file: h5py.File) -> list[str]:
    """Return paths of datasets that lie in the file itself, some of them."""
    import h5py

    found: list[str] = []

    def look(name: str, item: object) -> bool | None:
        if isinstance(item, h5py.Dataset):
            found.append(name)
        return True if len(found) >= 10 else None

    file.visititems(look)
    return found


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
