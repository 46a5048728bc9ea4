"""Where each image of a CT file lies and how its stored values become HU; plain and multi-frame files alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.data.dicom.files import MAX_FRAMES
from lungzoo.data.dicom.values import first, integer, items, number, numbers, text
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_SIDE_PX = 4096
_UNIT_LENGTH = 1e-3
_MACROS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "CTImageFrameTypeSequence"),
)


@dataclass(frozen=True)
class Plane:
    """One image of a series.

    Args:
        name: file, with the frame's number where it holds several.
        sop_uid: SOPInstanceUID of the file.
        frame: index of the frame within the file.
        shape_px: (rows, columns).
        position_mm: LPS of the centre of the first pixel.
        orientation: unit vectors along a row and down a column.
        spacing_mm: (between rows, between columns).
        thickness_mm: of the slice, NaN where unknown.
        slope, intercept: HU = stored value · slope + intercept.
    """

    name: str
    sop_uid: str
    frame: int
    shape_px: tuple[int, int]
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    thickness_mm: float
    slope: float
    intercept: float

    @property
    def normal(self) -> np.ndarray:
        """Unit vector along which slices are stacked."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def along_mm(self) -> float:
        """Position along `normal`."""
        return float(self.normal @ np.array(self.position_mm))


def read_planes(dataset: Dataset, name: str) -> list[Plane]:
    """Return the images of a CT file, without those of a localizer.

    Raises:
        DatasetError: an attribute that places an image or gives it HU is missing or wrong.
    """
    shape = (integer(dataset, "Rows", 1, MAX_SIDE_PX), integer(dataset, "Columns", 1, MAX_SIDE_PX))
    frames = integer(dataset, "NumberOfFrames", 1, MAX_FRAMES, default=1)
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    if groups and len(groups) != frames:
        raise DatasetError(f"says it has {frames:,} frames and describes {len(groups):,}")
    if frames > 1 and not groups:
        raise DatasetError(f"has {frames:,} frames without a position for each")
    shared = [*_macros(first(dataset, "SharedFunctionalGroupsSequence")), dataset]
    planes = []
    for frame in range(frames):
        sources = [*_macros(groups[frame] if groups else None), *shared]
        kind = "\\".join(text(source, key) for source in sources for key in ("FrameType", "ImageType"))
        if "LOCALIZER" not in kind.upper():
            label = f"{name}, frame {frame + 1}" if frames > 1 else name
            planes.append(_plane(sources, label, text(dataset, "SOPInstanceUID"), frame, shape))
    return planes


def _macros(group: Dataset | None) -> list[Dataset]:
    """Return the data sets of functional groups that may hold a frame's attributes."""
    if group is None:
        return []
    return [item for macro in _MACROS for item in items(group, macro)[:1]]


def _plane(sources: list[Dataset], name: str, sop_uid: str, frame: int, shape_px: tuple[int, int]) -> Plane:
    slope, intercept = _number(sources, "RescaleSlope"), _number(sources, "RescaleIntercept")
    if slope is None or intercept is None:
        raise DatasetError("has no RescaleSlope and RescaleIntercept, so its values are no HU")
    if slope <= 0:
        raise DatasetError(f"RescaleSlope is {slope:g}, expected above 0")
    kind = next((kind for source in sources if (kind := text(source, "RescaleType"))), "HU")
    if kind.upper() != "HU":
        raise DatasetError(f"RescaleType is '{kind}', expected HU")
    thickness = _number(sources, "SliceThickness")
    return Plane(
        name,
        sop_uid,
        frame,
        shape_px,
        _numbers(sources, "ImagePositionPatient", 3),
        _orientation(_numbers(sources, "ImageOrientationPatient", 6)),
        check_spacing(_numbers(sources, "PixelSpacing", 2)),
        float("nan") if thickness is None else thickness,
        slope,
        intercept,
    )


def check_spacing(spacing_mm: tuple[float, ...]) -> tuple[float, ...]:
    """Return PixelSpacing; raises DatasetError unless it is possible."""
    if not all(1e-3 <= value <= 100 for value in spacing_mm):
        shown = ", ".join(f"{value:g}" for value in spacing_mm)
        raise DatasetError(f"PixelSpacing is {shown} mm, expected between 0.001 and 100")
    return spacing_mm


def _orientation(vectors: tuple[float, ...]) -> tuple[float, ...]:
    row, column = np.array(vectors[:3]), np.array(vectors[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _UNIT_LENGTH or abs(row @ column) > _UNIT_LENGTH:
        raise DatasetError(f"ImageOrientationPatient is {list(vectors)}, expected two unit vectors at right angles")
    return tuple(float(value) for value in (*(row / lengths[0]), *(column / lengths[1])))


def _number(sources: list[Dataset], keyword: str) -> float | None:
    return next((value for source in sources if (value := number(source, keyword)) is not None), None)


def _numbers(sources: list[Dataset], keyword: str, count: int) -> tuple[float, ...]:
    for source in sources:
        values = numbers(source, keyword, count)
        if values is not None:
            return values
    raise DatasetError(f"has no {keyword}, so its place in the patient is unknown")
