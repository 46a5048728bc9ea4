"""`cases.csv`: what is known of each image of a folder, one row per image."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lungzoo.data.store import COLUMNS
from lungzoo.errors import DatasetError, did_you_mean

NAME = "cases.csv"
_SPACING = ("spacing_z_mm", "spacing_y_mm", "spacing_x_mm")
_OWN = ("image", "patient", "label", "volume", "z", *_SPACING)
_ENDING = re.compile(r"\.(nii\.gz|nii|png|tiff?|npy)$", re.I)


@dataclass(frozen=True)
class CaseRow:
    """One row; "" and NaN where it says nothing.

    Args:
        patient, label, volume: text.
        z: index of a single slice within its volume.
        spacing_mm: (z, y, x).
        extra: further columns.
    """

    patient: str = ""
    label: str = ""
    volume: str = ""
    z: int | None = None
    spacing_mm: tuple[float, float, float] = (math.nan,) * 3
    extra: dict[str, float | str] = field(default_factory=dict)


def read_case_table(data: bytes, keys: Iterable[str]) -> tuple[dict[str, CaseRow], list[str]]:
    """Read a table and find the image that each row speaks of.

    Args:
        data: the bytes of the CSV file, UTF-8.
        keys: what the images are called; a row may give the key, with or without an ending, or only its last part
            where that is unique.

    Returns:
        Rows by key, and the faults: bad values, rows without an image and images without a row.

    Raises:
        DatasetError: it is not a table with the column `image`.
    """
    lines = _rows(data)
    numeric = (
        {name for name in lines[0] if name not in _OWN and _all_numbers(line[name] for line in lines)}
        if lines
        else set()
    )
    keys = list(keys)
    by_name = _names(keys)
    table: dict[str, CaseRow] = {}
    faults: list[str] = []
    for number, line in enumerate(lines, 2):
        key = by_name.get(_ENDING.sub("", line["image"]))
        try:
            if key is None:
                raise DatasetError(f"there is no image '{line['image']}', or more than one")
            if key in table:
                raise DatasetError(f"the image '{line['image']}' has a row already")
            table[key] = _row(line, numeric)
        except DatasetError as error:
            faults.append(f"{NAME}, row {number}: {error}")
    return table, faults + [f"{key}: has no row in {NAME}" for key in keys if key not in table]


def _rows(data: bytes) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        names = list(reader.fieldnames or ())
        rows = [{name: (row.get(name) or "").strip() for name in names} for row in reader]
    except (csv.Error, ValueError) as error:
        raise DatasetError(f"{NAME}: is not a CSV table in UTF-8: {error}") from None
    if "image" not in names:
        raise DatasetError(
            f"{NAME}: has no column image.{did_you_mean('image', names)} Received: {', '.join(names) or 'nothing'}"
        )
    twice = sorted({name for name in names if names.count(name) > 1 or not name})
    taken = sorted(name for name in names if name in COLUMNS and name not in _OWN)
    if twice or taken:
        raise DatasetError(f"{NAME}: columns must be named, differ, and not be called {', '.join(taken or twice)!r}")
    return rows


def _names(keys: list[str]) -> dict[str, str]:
    """Return every unambiguous name of each key."""
    last: dict[str, list[str]] = {}
    for key in keys:
        last.setdefault(key.rpartition("/")[2], []).append(key)
    return {**{name: found[0] for name, found in last.items() if len(found) == 1}, **{key: key for key in keys}}


def _row(line: dict[str, str], numeric: set[str]) -> CaseRow:
    spacing = [_number(line, name) for name in _SPACING]
    if any(value <= 0 or math.isinf(value) for value in spacing):
        raise DatasetError(f"spacing must be above 0 mm or blank. Received: {spacing}")
    z = _number(line, "z")
    if not math.isnan(z) and not (z.is_integer() and 0 <= z < 2**31):
        raise DatasetError(f"z must be a whole number from 0. Received: {z:g}")
    extra: dict[str, float | str] = {
        name: _number(line, name) if name in numeric else line[name] for name in line if name not in _OWN
    }
    text = {name: line.get(name, "") for name in ("patient", "label", "volume")}
    return CaseRow(
        **text, z=None if math.isnan(z) else int(z), spacing_mm=(spacing[0], spacing[1], spacing[2]), extra=extra
    )


def _number(line: dict[str, str], name: str) -> float:
    text = line.get(name, "")
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise DatasetError(f"{name} must be a number or blank. Received: '{text}'") from None


def _all_numbers(values: Iterable[str]) -> bool:
    for value in values:
        try:
            float(value or "nan")
        except ValueError:
            return False
    return True
