"""What is done to a predicted mask: pure functions, each of which can be left out."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from lungzoo.data.preprocess.lungs import lung_fields
from lungzoo.inference.components import Components, keep_components
from lungzoo.schema import Frozen

CLOSING_MM = 25.0
"""Radius of the disc that rolls along the lungs' outline: wider dents are the heart and the spine."""
_COARSE_SIDE_PX = 256


class PostprocessConfig(Frozen):
    """Which steps are taken, in this order; a manifest's `protocol.postprocess` says the same."""

    lungs: bool = False
    """Only what lies in the lung fields counts."""
    fill_holes: bool = False
    """Fill what a lesion encloses, slice by slice."""
    min_area_mm2: float = Field(0.0, ge=0)
    """Drop smaller components of each slice, whatever lies in the slices beside it."""
    largest_per_slice: int | None = Field(None, ge=1)
    """Keep at most so many components of each slice, the largest."""
    min_volume_mm3: float = Field(0.0, ge=0)
    """Drop components that are smaller."""
    largest: int | None = Field(None, ge=1)
    """Keep at most so many components, the largest."""

    def without_unknown(self, spacing_mm: tuple[float, float, float]) -> PostprocessConfig:
        """Return the steps that can be taken where a spacing (z, y, x) may be NaN: the others need one."""
        known = np.isfinite(spacing_mm)
        gone = ({} if known.all() else {"min_volume_mm3": 0.0}) | ({} if known[1:].all() else {"min_area_mm2": 0.0})
        return self.model_copy(update=gone)


def postprocess(
    mask: np.ndarray, config: PostprocessConfig, voxel_mm3: float, pixel_mm2: float = float("nan")
) -> np.ndarray:
    """Take the steps that a config names after `lungs`, for which `within` does.

    Args:
        mask: uint8 {0, 1} (Z, Y, X).
        config: the steps.
        voxel_mm3: volume of a voxel; needed for `min_volume_mm3`.
        pixel_mm2: area of a pixel; needed for `min_area_mm2`.

    Returns:
        uint8 {0, 1} (Z, Y, X).
    """
    if config.fill_holes:
        mask = fill_holes(mask)
    if config.min_area_mm2 or config.largest_per_slice is not None:
        mask = by_slice(mask, config, pixel_mm2)
    if config.min_volume_mm3:
        mask = remove_small(mask, config.min_volume_mm3, voxel_mm3)
    return mask if config.largest is None else keep_largest(mask, config.largest)


def within(mask: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return what of a mask lies in a field of the same shape, like `mask`."""
    return np.where(field, mask, np.zeros((), mask.dtype))


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill what is enclosed within each slice; a diagonal gap of the rim does not open it.

    Args:
        mask: bool or uint8 (Z, Y, X).

    Returns:
        A new array like `mask`.
    """
    from scipy.ndimage import binary_fill_holes

    filled = mask.copy()
    for z in np.flatnonzero([bool(plane.any()) for plane in mask]):
        filled[z] = binary_fill_holes(mask[z])
    return filled


def by_slice(mask: np.ndarray, config: PostprocessConfig, pixel_mm2: float) -> np.ndarray:
    """Take the steps `min_area_mm2` and `largest_per_slice` with each slice by itself.

    Args:
        mask: bool or uint8 (Z, Y, X).
        config: the steps.
        pixel_mm2: area of a pixel.

    Returns:
        A new array like `mask`.
    """
    kept = mask.copy()
    for z in np.flatnonzero([bool(plane.any()) for plane in mask]).tolist():
        plane = mask[z : z + 1]
        if config.min_area_mm2:
            plane = remove_small(plane, config.min_area_mm2, pixel_mm2)
        kept[z] = plane[0] if config.largest_per_slice is None else keep_largest(plane, config.largest_per_slice)[0]
    return kept


def remove_small(mask: np.ndarray, min_volume_mm3: float, voxel_mm3: float) -> np.ndarray:
    """Drop the components that are smaller than a volume.

    Args:
        mask: bool or uint8 (Z, Y, X).
        min_volume_mm3: what has exactly this volume stays.
        voxel_mm3: volume of a voxel.

    Returns:
        Like `mask`; itself where nothing is dropped.
    """
    components = Components(mask)
    # Products such as 0.7 · 0.7 · 2.5 miss their decimal value by rounding.
    return keep_components(mask, components.voxels * voxel_mm3 >= min_volume_mm3 * (1 - 1e-9), components)


def keep_largest(mask: np.ndarray, count: int) -> np.ndarray:
    """Keep the largest components; of equals those that begin nearer to the feet.

    Args:
        mask: bool or uint8 (Z, Y, X).
        count: how many at most.

    Returns:
        Like `mask`; itself where nothing is dropped.
    """
    components = Components(mask)
    keep = np.zeros(components.count, bool)
    keep[np.argsort(-components.voxels, kind="stable")[:count]] = True
    return keep_components(mask, keep, components)


def find_lungs(image: np.ndarray, spacing_mm: tuple[float, float, float], closing_mm: float = CLOSING_MM) -> np.ndarray:
    """Return the lung fields of a volume; all of it where what is found is no pair of lungs, as in a crop.

    Dents of their outline that a disc does not reach into belong to them: lesions at the wall or the
    hilum are as bright as what they touch, and make such dents. Large slices are looked at every second or third pixel,
    and the result is as coarse; memory stays flat so.

    Args:
        image: (Z, Y, X) in HU or 8 bits.
        spacing_mm: (z, y, x); where it is NaN dents stay.
        closing_mm: radius of the disc; with 0 dents stay.

    Returns:
        bool (Z, Y, X).

    Source: Armato and Sensakovic 2004, Automated lung segmentation for thoracic CT: impact on computer-aided diagnosis,
    Acad. Radiol. 11(9):1011-1021, who roll a ball along the outline.
    """
    step = -(-max(image.shape[1:]) // _COARSE_SIDE_PX)
    coarse = lung_fields(np.ascontiguousarray(image[:, ::step, ::step]))
    if closing_mm and np.isfinite(spacing_mm[1:]).all() and not coarse.all():
        coarse = without_dents(coarse, (spacing_mm[1] * step, spacing_mm[2] * step), closing_mm)
    if step == 1:
        return coarse
    fine = np.empty(image.shape, bool)
    height, width = image.shape[1:]
    for z, plane in enumerate(coarse):
        fine[z] = plane.repeat(step, 0).repeat(step, 1)[:height, :width]
    return fine


def without_dents(field: np.ndarray, spacing_yx_mm: tuple[float, float], radius_mm: float) -> np.ndarray:
    """Close the parts of each slice by a disc, each part by itself so that what lies between the lungs stays out.

    Args:
        field: bool (Z, Y, X).
        spacing_yx_mm: (y, x) distance between pixels.
        radius_mm: of the disc.

    Returns:
        bool (Z, Y, X), nothing of the field lost, holes filled.
    """
    from scipy.ndimage import find_objects, label

    closed = field.copy()
    for z, plane in enumerate(field):
        parts, _ = label(plane)
        for number, box in enumerate(find_objects(parts), 1):
            closed[z][box] |= _closed(parts[box] == number, spacing_yx_mm, radius_mm)
    return closed


def _closed(shape: np.ndarray, spacing_yx_mm: tuple[float, float], radius_mm: float) -> np.ndarray:
    """Dilate and erode (H, W) by distances, with room around it; a closing stays within the shape's box."""
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

    rooms = [math.ceil(radius_mm / step) + 1 for step in spacing_yx_mm]
    padded = np.pad(shape, [(room, room) for room in rooms])
    grown = distance_transform_edt(~padded, spacing_yx_mm) <= radius_mm
    shrunk = binary_fill_holes(distance_transform_edt(grown, spacing_yx_mm) > radius_mm)
    return np.asarray(shrunk[rooms[0] : -rooms[0], rooms[1] : -rooms[1]])
