"""DICOM segmentations (SEG) as masks on the grid of their CT."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.data.dicom.files import MAX_FRAMES
from lungzoo.data.dicom.pixels import read_format, stored_frames
from lungzoo.data.dicom.planes import check_spacing
from lungzoo.data.dicom.series import Series
from lungzoo.data.dicom.values import first, integer, items, numbers, text
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

_KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")
_HALF = 0.5
_OFF_GRID = 0.1
_SHOWN = 100


def referenced_series(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the SeriesInstanceUIDs and the frame of reference that a segmentation was made on."""
    series = {text(item, "SeriesInstanceUID") for item in items(dataset, "ReferencedSeriesSequence")}
    return series - {""}, {text(dataset, "FrameOfReferenceUID")} - {""}


def seg_to_mask(dataset: Dataset, series: Series, pattern: str = "") -> np.ndarray:
    """Return (Z, Y, X) bool on the grid of `series`: the chosen segments, united.

    A fractional segment counts from half its maximum. Frames may be cropped, flipped or sparse, but have to share the
    pixels of the CT; without a position of its own, a frame lies on the image that it names as its source.

    Args:
        dataset: the segmentation.
        series: the CT.
        pattern: label of the segment, with `*` and `?`; "" takes the only one.

    Raises:
        DatasetError: no such segment, one without a pixel, or a frame does not fit the CT's grid.
    """
    kind = text(dataset, "SegmentationType")
    if kind not in _KINDS:
        raise DatasetError(f"SegmentationType is '{kind}', expected one of {', '.join(_KINDS)}")
    chosen = choose_segments(dataset, pattern)
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    frames = integer(dataset, "NumberOfFrames", 1, MAX_FRAMES, default=1)
    if len(groups) != frames:
        raise DatasetError(f"says it has {frames:,} frames and describes {len(groups):,}")
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    maximum = integer(dataset, "MaximumFractionalValue", 1, 255, default=255)
    mask = np.zeros(series.image.shape, bool)
    for number, (group, frame) in enumerate(zip(groups, stored_frames(dataset, read_format(dataset)), strict=True), 1):
        holders = [holder for holder in (group, shared) if holder is not None]
        drawn = _drawn(frame, kind, chosen, maximum, holders)
        if drawn is not None and drawn.any():
            _place(mask, drawn, holders, series, number)
    if not mask.any():
        raise DatasetError(f"the segment {_labels_of(dataset, chosen)} has no pixel: its frames are empty")
    return mask


def choose_segments(dataset: Dataset, pattern: str) -> set[int]:
    """Return the numbers of the segments whose label or description matches, all those of a single one for ""."""
    labels = {
        integer(item, "SegmentNumber", 0, 65_535): (text(item, "SegmentLabel"), text(item, "SegmentDescription"))
        for item in items(dataset, "SegmentSequence")
    }
    names = sorted(label or "(no label)" for label, _ in labels.values())
    known = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "") or "none"
    if not pattern:
        if len(labels) != 1:
            raise DatasetError(f"has {len(labels)} segments: {known}. Choose with: --set segment=LABEL")
        return set(labels)
    wanted = pattern.lower()
    chosen = {key for key, names in labels.items() if any(fnmatch.fnmatch(name.lower(), wanted) for name in names)}
    if not chosen:
        raise DatasetError(f"has no segment '{pattern}'. It has: {known}")
    return chosen


def _labels_of(dataset: Dataset, chosen: set[int]) -> str:
    segments = items(dataset, "SegmentSequence")
    labels = [text(item, "SegmentLabel") for item in segments if integer(item, "SegmentNumber", 0, 65_535) in chosen]
    return ", ".join(label or "(no label)" for label in labels[:_SHOWN])


def _drawn(frame: np.ndarray, kind: str, chosen: set[int], maximum: int, holders: list[Dataset]) -> np.ndarray | None:
    """Return where a frame shows the chosen segments, None where it belongs to another; a label map's shows all."""
    if kind == "LABELMAP":
        return np.isin(frame, sorted(chosen))
    if _segment_of(holders) not in chosen:
        return None
    return frame >= maximum * _HALF if kind == "FRACTIONAL" else frame > 0


def _segment_of(holders: list[Dataset]) -> int:
    for holder in holders:
        item = first(holder, "SegmentIdentificationSequence")
        if item is not None:
            return integer(item, "ReferencedSegmentNumber", 0, 65_535)
    raise DatasetError("has a frame that names no segment")


def _place(mask: np.ndarray, drawn: np.ndarray, holders: list[Dataset], series: Series, number: int) -> None:
    """Set the voxels of one frame."""
    position, orientation, spacing = (
        _find(holders, "PlanePositionSequence", "ImagePositionPatient", 3),
        _find(holders, "PlaneOrientationSequence", "ImageOrientationPatient", 6),
        _find(holders, "PixelMeasuresSequence", "PixelSpacing", 2),
    )
    if position is None or orientation is None or spacing is None:
        mask[_source_slice(holders, series, drawn.shape, number)] |= drawn
        return
    _check_pixels(check_spacing(spacing), series, number)
    rows, columns = np.nonzero(drawn)
    along_row, down_column = np.array(orientation[:3]), np.array(orientation[3:])
    points = np.array(position) + columns[:, None] * spacing[1] * along_row + rows[:, None] * spacing[0] * down_column
    index = series.geometry.to_index(points)
    whole = np.rint(index).astype(np.int64)
    off = float(np.abs(index - whole).max())
    if off > _OFF_GRID:
        raise DatasetError(
            f"frame {number} lies off the CT's grid by {off:.2f} of a voxel; resample it to the CT first"
        )
    if (whole < 0).any() or (whole >= mask.shape).any():
        raise DatasetError(f"frame {number} lies outside the CT")
    mask[tuple(whole.T)] = True


def _check_pixels(spacing_mm: tuple[float, ...], series: Series, number: int) -> None:
    _, between_rows, between_columns = series.geometry.spacing_mm
    ours = (between_rows, between_columns)
    if np.abs(np.sort(spacing_mm) / np.sort(ours) - 1).max() > 1e-3:
        shown = " by ".join(f"{value:g}" for value in spacing_mm)
        expected = " by ".join(f"{value:g}" for value in ours)
        raise DatasetError(f"frame {number} has pixels of {shown} mm, its CT {expected}; resample it to the CT first")


def _source_slice(holders: list[Dataset], series: Series, shape_px: tuple[int, ...], number: int) -> int:
    if shape_px != series.image.shape[1:]:
        raise DatasetError(f"frame {number} has no position, and another size than its CT")
    for holder in holders:
        for derivation in items(holder, "DerivationImageSequence"):
            for source in items(derivation, "SourceImageSequence"):
                frame = integer(source, "ReferencedFrameNumber", 1, 65_535, default=1) - 1
                z = series.slices.get((text(source, "ReferencedSOPInstanceUID"), frame))
                if z is not None:
                    return z
    raise DatasetError(f"frame {number} has no position, and names no image of its CT as its source")


def _find(holders: list[Dataset], sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
    for holder in holders:
        item = first(holder, sequence)
        if item is not None:
            return numbers(item, keyword, count)
    return None
