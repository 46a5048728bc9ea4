"""Crops or pads the slices of a volume to one size, and moves its grid along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.geometry import Geometry

AIR_HU = -1024


def centre_square(array_zyx: np.ndarray, size_px: int, fill: int) -> np.ndarray:
    """Crop or pad slices about their centre: (Z, Y, X) -> (Z, size_px, size_px)."""
    out = np.full((len(array_zyx), size_px, size_px), fill, array_zyx.dtype)
    starts = [start_px(side, size_px) for side in array_zyx.shape[1:]]
    source, target = [], []
    for start, side in zip(starts, array_zyx.shape[1:], strict=True):
        source.append(slice(max(start, 0), min(start + size_px, side)))
        target.append(slice(max(-start, 0), max(-start, 0) + source[-1].stop - source[-1].start))
    out[:, target[0], target[1]] = array_zyx[:, source[0], source[1]]
    return out


def start_px(side_px: int, size_px: int) -> int:
    """Return where the square begins along an axis; below 0 where it pads."""
    return (side_px - size_px) // 2


def square_grid(info: VolumeInfo, size_px: int) -> VolumeInfo:
    """Return the grids of a volume after `centre_square`; the source's grid is cut along with it."""
    depth, height, width = info.shape_zyx
    start = (0, start_px(height, size_px), start_px(width, size_px))
    geometry = _moved(info.geometry, info.geometry.to_mm(np.array(start)))
    # The source's first voxel is the corner that its axes grow away from.
    code = info.source_geometry.code
    corner = [(depth - 1) * ("I" in code), (size_px - 1) * ("A" in code), (size_px - 1) * ("R" in code)]
    source = _moved(info.source_geometry, geometry.to_mm(np.array(corner)))
    return replace(info, shape_zyx=(depth, size_px, size_px), geometry=geometry, source_geometry=source)


def _moved(geometry: Geometry, origin_mm: np.ndarray) -> Geometry:
    matrix = geometry.matrix
    matrix[:3, 3] = origin_mm
    return Geometry.from_matrix(matrix)
