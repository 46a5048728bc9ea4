"""What voxel values may be: HU, 8-bit grey, and masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lungzoo.errors import DatasetError

_PART_BYTES = 4 * 2**20
_INT16 = np.iinfo(np.int16)
_MIN_SPAN_HU = 100.0


@dataclass(frozen=True)
class Scaling:
    """A stored number times `slope` plus `inter` is the value."""

    slope: float = 1.0
    inter: float = 0.0


AS_STORED = Scaling()


def to_hu(stored: np.ndarray, scaling: Scaling, must_look_like_hu: bool = True) -> tuple[np.ndarray, bool]:
    """Turn stored numbers into whole HU.

    Args:
        stored: real numbers, any shape.
        scaling: what makes HU of them.
        must_look_like_hu: also refuse ranges that CT does not have, such as 0..1.

    Returns:
        int16 of the same shape and order of axes in memory, and whether fractions were rounded. What is whole HU in
        int16 already is returned itself, not a copy.

    Raises:
        DatasetError: values that are not finite, do not fit int16, or do not look like HU; with the reason.
    """
    is_hu = scaling == AS_STORED and stored.dtype == np.int16
    out = stored if is_hu else np.empty_like(stored, np.int16)
    low, high, fractional = np.inf, -np.inf, False
    for part in _parts(stored):
        values = _scaled(stored[part], scaling)
        part_low, part_high = float(values.min()), float(values.max())
        if not np.isfinite([part_low, part_high]).all():
            raise DatasetError("it holds NaN or infinite values; expected HU")
        low, high = min(low, part_low), max(high, part_high)
        if low < _INT16.min or high > _INT16.max:
            raise DatasetError(
                f"it holds values such as {low if low < _INT16.min else high:g}; HU fit {_INT16.min} to {_INT16.max}"
            )
        if is_hu:
            continue
        rounded = np.rint(values)
        fractional = fractional or bool((rounded != values).any())
        out[part] = rounded
    if must_look_like_hu:
        _check_looks_like_hu(low, high)
    return out, fractional


def to_uint8(stored: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return 8-bit grey as it was stored; raises DatasetError where it was stored as anything else."""
    if stored.dtype != np.uint8 or scaling != AS_STORED:
        raise DatasetError(
            f"its pixels are {stored.dtype}, not 8-bit grey; 8-bit and HU images cannot be in one dataset"
        )
    return stored


def to_mask(stored: np.ndarray, scaling: Scaling, lesion: tuple[int, ...] = (1,), others: bool = False) -> np.ndarray:
    """Turn stored numbers into a mask.

    Args:
        stored: real numbers, any shape.
        scaling: what makes values of them.
        lesion: the values that are lesion.
        others: take values other than 0 and those for background, instead of refusing them.

    Returns:
        uint8 {0, 1} of the same shape; where `stored` is that already, itself.

    Raises:
        DatasetError: there are other values.
    """
    if scaling == AS_STORED and stored.dtype == np.uint8 and lesion == (1,) and stored.max(initial=0) <= 1:
        return stored
    out = np.empty_like(stored, np.uint8)
    for part in _parts(stored):
        values = _scaled(stored[part], scaling)
        out[part] = np.isin(values, lesion)
        if not others:
            strange = values[(out[part] == 0) & (values != 0)]
            if strange.size:
                shown = ", ".join(f"{value:g}" for value in np.unique(strange[:10_000])[:5])
                allowed = " and ".join(str(value) for value in (0, *lesion))
                raise DatasetError(f"its mask holds the values {shown}; allowed are {allowed}")
    return out


def _scaled(stored: np.ndarray, scaling: Scaling) -> np.ndarray:
    if scaling == AS_STORED:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(stored.astype(np.float64) * scaling.slope + scaling.inter)


def _parts(array: np.ndarray) -> Iterator[tuple[slice | None, ...]]:
    """Yield index tuples that cut an array along its slowest axis, so that conversions stay small."""
    axis = int(np.argmax(np.abs(array.strides)))
    per_index = max(array.size // array.shape[axis] * 8, 1)
    step = max(_PART_BYTES // per_index, 1)
    for start in range(0, array.shape[axis], step):
        yield tuple(slice(start, start + step) if a == axis else slice(None) for a in range(array.ndim))


def _check_looks_like_hu(low: float, high: float) -> None:
    received = f"its values run from {low:g} to {high:g}"
    if low == high:
        raise DatasetError(f"every one of its values is {low:g}; expected HU")
    if low >= -1 and high <= 1:
        raise DatasetError(f"{received}: a scaled image or a mask; expected HU")
    if low >= 0 and high <= 2:
        raise DatasetError(f"{received}: a scaled image or a mask; expected HU")
    if low >= 0 and high <= 255:
        raise DatasetError(f"{received}, as those of an 8-bit picture; expected HU")
    if low >= 0:
        raise DatasetError(f"{received}: nothing is below 0, though air is near -1000 HU, so an offset is missing")
    if high - low < _MIN_SPAN_HU:
        raise DatasetError(f"{received}: too narrow for CT, as if it had been normalised; expected HU")
