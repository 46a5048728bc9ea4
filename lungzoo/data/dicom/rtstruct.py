"""Regions of a radiotherapy structure set (RTSTRUCT) as masks on the grid of its CT."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.data.dicom.contours import crossing_count, fill
from lungzoo.data.dicom.files import guarded
from lungzoo.data.dicom.series import Series
from lungzoo.data.dicom.values import integer, items, text
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_MAX_POINTS = 1_000_000
_MAX_CROSSINGS = 20_000_000
_OFF_PLANE = 0.1
_OFF_PLANE_MM = 0.05
_BEYOND_EDGE_PX = 1.0


@dataclass(frozen=True)
class Contour:
    """One outline: `points_mm` (n, 3) in LPS, closed by itself; regions may share a name, not a `roi_number`."""

    roi: str
    number: int
    points_mm: np.ndarray
    roi_number: int = 0


def referenced_series(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the SeriesInstanceUIDs and the frames of reference that a structure set was drawn on."""
    series, frames = set(), set()
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        frames.add(text(frame, "FrameOfReferenceUID"))
        for study in items(frame, "RTReferencedStudySequence"):
            series |= {text(item, "SeriesInstanceUID") for item in items(study, "RTReferencedSeriesSequence")}
    frames |= {text(roi, "ReferencedFrameOfReferenceUID") for roi in items(dataset, "StructureSetROISequence")}
    return series - {""}, frames - {""}


def read_contours(dataset: Dataset, pattern: str) -> tuple[list[Contour], list[str]]:
    """Return the closed contours of the regions whose name matches.

    Args:
        dataset: the structure set.
        pattern: name of the region, with `*` and `?` as in file names; capitals do not matter.

    Returns:
        The contours, and notes on what was left out.

    Raises:
        DatasetError: no region has such a name, those that do have no contour, or one is damaged.
    """
    chosen = choose_regions(dataset, pattern)
    contours: list[Contour] = []
    notes: list[str] = []
    for roi in items(dataset, "ROIContourSequence"):
        key = integer(roi, "ReferencedROINumber", -(2**31), 2**31 - 1)
        if key in chosen:
            _add_contours(roi, key, chosen[key], contours, notes)
    if not contours:
        raise DatasetError(f"the region {', '.join(sorted(chosen.values()))} has no closed contour")
    return contours, notes


def choose_regions(dataset: Dataset, pattern: str) -> dict[int, str]:
    """Return the names of the regions that match, by number; raises DatasetError where none does."""
    names = _roi_names(dataset)
    chosen = {key: name for key, name in names.items() if fnmatch.fnmatch(name.lower(), pattern.lower())}
    if not chosen:
        known = ", ".join(sorted(names.values())) or "none"
        raise DatasetError(f"has no region '{pattern}'. It has: {known}. Choose with: --set roi=NAME")
    return chosen


def contours_to_mask(contours: list[Contour], series: Series) -> np.ndarray:
    """Return (Z, Y, X) bool on the grid of `series`.

    Regions are united; the contours of one region and slice follow the even-odd rule.

    Raises:
        DatasetError: a contour does not lie in the plane of a slice, or not within the volume, or a region fills no
            pixel.
    """
    depth, rows, columns = series.image.shape
    mask = np.zeros((depth, rows, columns), bool)
    by_plane: dict[tuple[int, int], list[np.ndarray]] = {}
    for contour in contours:
        index = series.geometry.to_index(contour.points_mm)
        z = _plane_of(contour, index, series)
        _check_within(contour, index, series)
        by_plane.setdefault((contour.roi_number, z), []).append(index[:, :0:-1])
    crossings = sum(crossing_count(polygon, rows) for polygons in by_plane.values() for polygon in polygons)
    if crossings > _MAX_CROSSINGS:
        raise DatasetError(f"its contours cross {crossings:,} rows of pixels, more than the {_MAX_CROSSINGS:,} allowed")
    filled = set()
    for (region, z), polygons in by_plane.items():
        pixels = fill(polygons, (rows, columns))
        mask[z] |= pixels
        if pixels.any():
            filled.add(region)
    if hollow := sorted({contour.roi for contour in contours if contour.roi_number not in filled}):
        raise DatasetError(f"the region {', '.join(hollow)} fills no pixel: its contours enclose no pixel's centre")
    return mask


def _roi_names(dataset: Dataset) -> dict[int, str]:
    return {
        integer(roi, "ROINumber", -(2**31), 2**31 - 1): text(roi, "ROIName")
        for roi in items(dataset, "StructureSetROISequence")
    }


def _add_contours(roi: Dataset, key: int, name: str, contours: list[Contour], notes: list[str]) -> None:
    seen = {contour.points_mm.tobytes() for contour in contours if contour.roi_number == key}
    for number, item in enumerate(items(roi, "ContourSequence"), 1):
        kind = text(item, "ContourGeometricType")
        points = _points(item, f"{name}, contour {number}")
        if kind not in _CLOSED or len(points) < 3:
            notes.append(f"{name}, contour {number}: left out, {kind or 'of no type'} with {len(points)} point(s)")
        elif points.tobytes() in seen:
            notes.append(f"{name}, contour {number}: left out, the same as an earlier one")
        else:
            seen.add(points.tobytes())
            contours.append(Contour(name, number, points, key))


def _points(item: Dataset, what: str) -> np.ndarray:
    """Return (n, 3); parsed from the bytes, because a structure set has hundreds of thousands of numbers."""
    with guarded(f"{what}: its points are damaged"):
        element = item.get_item("ContourData")
        value = b"" if element is None else element.value
        flat = np.array(value.split(b"\\") if isinstance(value, bytes) else value or [], float)
    if flat.ndim != 1 or len(flat) % 3 or len(flat) > 3 * _MAX_POINTS:
        raise DatasetError(
            f"{what}: has {flat.size:,} numbers, expected three for each of up to {_MAX_POINTS:,} points"
        )
    if not np.isfinite(flat).all() or (np.abs(flat) > 1e6).any():
        raise DatasetError(f"{what}: has points that are not finite")
    claimed = integer(item, "NumberOfContourPoints", 0, 2**31 - 1, default=len(flat) // 3)
    if claimed != len(flat) // 3:
        raise DatasetError(f"{what}: says it has {claimed} points and has {len(flat) // 3}")
    return flat.reshape(-1, 3)


def _plane_of(contour: Contour, index_zyx: np.ndarray, series: Series) -> int:
    heights = index_zyx[:, 0]
    spacing = series.geometry.spacing_mm[0]
    z = round(float(np.median(heights)))
    off_mm = float(np.abs(heights - z).max()) * spacing
    place = f"{contour.roi}, contour {contour.number}"
    if not 0 <= z < len(series.image):
        raise DatasetError(f"{place}: lies outside the volume, at slice {z} of {len(series.image)}")
    if off_mm > max(_OFF_PLANE * spacing, _OFF_PLANE_MM):
        raise DatasetError(
            f"{place}: lies {off_mm:.2f} mm off the plane of the nearest slice; slices are {spacing:g} mm apart"
        )
    return z


def _check_within(contour: Contour, index_zyx: np.ndarray, series: Series) -> None:
    """Refuse a contour beyond the picture: filling it would leave out what lies there without a word."""
    for axis, what in ((1, "rows"), (2, "columns")):
        low, high, count = index_zyx[:, axis].min(), index_zyx[:, axis].max(), series.image.shape[axis]
        if -0.5 - low > _BEYOND_EDGE_PX or high - (count - 0.5) > _BEYOND_EDGE_PX:
            raise DatasetError(
                f"{contour.roi}, contour {contour.number}: lies outside the picture, from {low:.1f} to {high:.1f} of "
                f"{count} {what}. Was it drawn on another series?"
            )
