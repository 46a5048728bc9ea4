"""The grid that a stack of slices makes, if it makes one."""

from __future__ import annotations

import math

import numpy as np

from lungzoo.data.dicom.planes import Plane
from lungzoo.data.geometry import Geometry
from lungzoo.errors import DatasetError

# Positions are often written with two decimals.
_ROUNDING_MM, _IRREGULAR = 0.02, 0.02
_SAME = 1e-3
_NAMED = 5


def stack_geometry(planes: list[Plane]) -> Geometry:
    """Return the grid of slices that are alike and ordered by position.

    Raises:
        DatasetError: slices are missing or unevenly spaced, or the gantry was tilted.
    """
    positions = np.array([plane.position_mm for plane in planes])
    if len(planes) == 1:
        step = planes[0].normal * _only_thickness(planes[0])
    else:
        _check_gaps(planes)
        step = (positions[-1] - positions[0]) / (len(planes) - 1)
    row, column = np.array(planes[0].orientation[:3]), np.array(planes[0].orientation[3:])
    between_rows, between_columns = planes[0].spacing_mm
    geometry = Geometry.from_matrix(np.column_stack([row * between_columns, column * between_rows, step, positions[0]]))
    beside = np.linalg.norm(positions - positions[0] - np.arange(len(planes))[:, None] * step, axis=1)
    worst = int(np.argmax(beside))
    if beside[worst] > max(_ROUNDING_MM * 5, _IRREGULAR * 2 * np.linalg.norm(step)):
        raise DatasetError(f"{planes[worst].name}: lies {beside[worst]:.2f} mm beside the line of the other slices")
    return geometry


def check_alike(planes: list[Plane]) -> None:
    """Raise DatasetError where sizes, orientations or spacings differ."""
    sizes = {plane.shape_px: plane.name for plane in planes}
    if len(sizes) > 1:
        raise DatasetError(_mixed("sizes", {f"{rows}×{columns}": name for (rows, columns), name in sizes.items()}))
    first = planes[0]
    for plane in planes[1:]:
        for what, here, there in (
            ("orientations", plane.orientation, first.orientation),
            ("pixel spacings", plane.spacing_mm, first.spacing_mm),
        ):
            if np.abs(np.subtract(here, there)).max() > _SAME:
                raise DatasetError(_mixed(what, {_shown(there): first.name, _shown(here): plane.name}))


def _check_gaps(planes: list[Plane]) -> None:
    along = np.array([plane.along_mm for plane in planes])
    gaps = np.diff(along)
    spacing = float(np.median(gaps))
    if spacing <= 0:
        raise DatasetError("its slices do not advance along their normal")
    allowed = max(_ROUNDING_MM, _IRREGULAR * spacing)
    wrong = np.flatnonzero(np.abs(gaps - spacing) > allowed)
    if not len(wrong):
        return
    faults = [_gap(planes, int(at), float(gaps[at]), spacing, allowed) for at in wrong[:_NAMED]]
    more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    raise DatasetError("; ".join(faults) + more)


def _gap(planes: list[Plane], at: int, gap: float, spacing: float, allowed: float) -> str:
    """Say what is wrong between slice `at` and the next."""
    steps = round(gap / spacing)
    place = f"between {planes[at].name} and {planes[at + 1].name}"
    if steps >= 2 and abs(gap - steps * spacing) <= allowed * steps:
        places = [planes[at].along_mm + spacing * step for step in range(1, min(steps, _NAMED + 1))]
        shown = ", ".join(f"{value:.2f}" for value in places) + (", …" if steps > _NAMED + 1 else "")
        return f"{steps - 1} slice(s) missing {place}: expected at {shown} mm along the normal"
    return f"uneven spacing {place}: {gap:.2f} mm, elsewhere {spacing:.2f} mm"


def _only_thickness(plane: Plane) -> float:
    if not plane.thickness_mm > 0 or math.isinf(plane.thickness_mm):
        raise DatasetError(f"{plane.name}: is the only slice and has no SliceThickness")
    return plane.thickness_mm


def _mixed(what: str, found: dict[str, str]) -> str:
    shown = ", ".join(f"{value} ({name})" for value, name in list(found.items())[:4])
    return f"the series mixes {what}: {shown}"


def _shown(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
