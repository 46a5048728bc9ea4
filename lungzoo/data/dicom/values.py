"""Attributes of a DICOM data set as plain values of the type that is needed, or a DatasetError that says why not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lungzoo.data.dicom.files import guarded, parse_items, with_steps
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

_LARGEST = 1e9
# A million numbers in one attribute would take seconds to tell apart, and none that is asked for has ten.
MAX_VALUE_BYTES = 16_384


def raw(dataset: Dataset, keyword: str, most_bytes: int = MAX_VALUE_BYTES) -> Any:
    """Return an attribute's value as pydicom has it, None where it is absent or empty.

    Raises:
        DatasetError: it is damaged, or has more than `most_bytes`.
    """
    with guarded(f"{keyword} is damaged"):
        stored = getattr(dataset.get_item(keyword), "value", None) if keyword in dataset else None
        if isinstance(stored, bytes) and len(stored) > most_bytes:
            raise DatasetError(f"{keyword} is {len(stored):,} bytes long, more than the {most_bytes:,} allowed")
        value = dataset.get(keyword)
        return None if value is None or value == "" else value


def text(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as text, several values joined by a backslash; "" where it is absent."""
    value = raw(dataset, keyword)
    if value is None:
        return ""
    with guarded(f"{keyword} is damaged"):
        parts = list(value) if _is_several(value) else [value]
    if not all(_is_plain(part) for part in parts):
        raise DatasetError(f"{keyword} is a {type(parts[0]).__name__}, expected text")
    with guarded(f"{keyword} is damaged"):
        return "\\".join(str(part).strip(" \0") for part in parts)


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an attribute's `count` finite numbers, None where it is absent."""
    value = raw(dataset, keyword)
    if value is None:
        return None
    with guarded(f"{keyword} is damaged"):
        parts = list(value) if _is_several(value) else [value]
    if len(parts) != count:
        raise DatasetError(f"{keyword} has {len(parts)} value(s), expected {count}")
    return tuple(_finite(keyword, part) for part in parts)


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return an attribute's number, None where it is absent."""
    values = numbers(dataset, keyword, 1)
    return None if values is None else values[0]


def integer(dataset: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
    """Return an attribute's whole number within [low, high], `default` where it is absent."""
    value = number(dataset, keyword)
    if value is None:
        if default is None:
            raise DatasetError(f"has no {keyword}")
        return default
    if value != int(value) or not low <= value <= high:
        raise DatasetError(f"{keyword} is {value:g}, expected a whole number from {low} to {high:,}")
    return int(value)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none where it is absent."""
    from pydicom import Dataset, Sequence

    with guarded(f"{keyword} is damaged"):
        _parse_sequence(dataset, keyword)
        value = dataset.get(keyword)
    if value is None or value == "":
        return []
    with guarded(f"{keyword} is damaged"):
        parts = list(value) if isinstance(value, Sequence) else None
    if parts is None or not all(isinstance(part, Dataset) for part in parts):
        raise DatasetError(f"{keyword} is not a sequence")
    steps = getattr(dataset, "steps", None)
    return [with_steps(part, steps) for part in parts]


def _parse_sequence(dataset: Dataset, keyword: str) -> None:
    """Parse a sequence that pydicom has left as bytes: it would do so itself, but without a bound."""
    from pydicom import DataElement
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement

    tag = tag_for_keyword(keyword)
    element = dataset.get_item(tag) if tag is not None and tag in dataset else None
    if isinstance(element, RawDataElement) and element.VR in (None, "SQ", "UN") and element.value:
        dataset[tag] = DataElement(tag, "SQ", parse_items(element, dataset), already_converted=True)


def first(dataset: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a sequence, None where there is none."""
    parts = items(dataset, keyword)
    return parts[0] if parts else None


def _finite(keyword: str, part: Any) -> float:
    try:
        value = float(part)
    except (TypeError, ValueError, OverflowError):
        # Writing out a damaged sequence would parse the rest of it.
        shown = repr(str(part)[:40]) if isinstance(part, str) else f"a {type(part).__name__}"
        raise DatasetError(f"{keyword} is {shown}, expected a number") from None
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise DatasetError(f"{keyword} is {value:g}, expected a number within ±{_LARGEST:g}")
    return value


def _is_plain(part: Any) -> bool:
    from pydicom.valuerep import PersonName

    return isinstance(part, str | int | float | PersonName)


def _is_several(value: Any) -> bool:
    from pydicom.multival import MultiValue

    return isinstance(value, MultiValue | list | tuple)
