"""A volume as its file holds it, and an image with its mask turned to the axes that datasets have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.files.values import AS_STORED, Scaling, to_hu, to_mask, to_uint8
from lungzoo.data.geometry import Geometry, to_axial
from lungzoo.errors import DatasetError

MAX_VOLUME_BYTES = 2 * 2**30
MAX_SPACING_MM = 100.0
MAX_ORIGIN_MM = 1e6
GRID_TOLERANCE = 0.1


@dataclass(frozen=True)
class FileVolume:
    """What a file holds.

    Args:
        stored_xyz: the stored numbers, perhaps in a narrower type that holds them; index axes as in the file.
        geometry: the file's grid.
        scaling: what makes values of the numbers.
        notes: what is odd about it, for people.
    """

    stored_xyz: np.ndarray
    geometry: Geometry
    scaling: Scaling = AS_STORED
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turned:
    """An image and its mask, (Z, Y, X) as in `Geometry`, with their grid."""

    image: np.ndarray
    mask: np.ndarray
    info: VolumeInfo
    notes: tuple[str, ...]


def checked_geometry(matrix_ras: np.ndarray) -> Geometry:
    """Make a Geometry of a RAS affine after checking that its numbers are those of a scan.

    Raises:
        DatasetError: they are not finite, or too large.
    """
    matrix = np.asarray(matrix_ras, float)[:3, :4]
    if not np.isfinite(matrix).all():
        raise DatasetError("its affine holds NaN or infinite numbers")
    if np.abs(matrix[:, :3]).max() > MAX_SPACING_MM:
        raise DatasetError(
            f"its voxels are {np.abs(matrix[:, :3]).max():g} mm large; at most {MAX_SPACING_MM:g} is taken"
        )
    if np.abs(matrix[:, 3]).max() > MAX_ORIGIN_MM:
        raise DatasetError(f"it lies {np.abs(matrix[:, 3]).max():g} mm away; at most {MAX_ORIGIN_MM:g} is taken")
    return Geometry.from_ras(matrix)


def turn(
    volume: str,
    image: FileVolume,
    mask: FileVolume | None,
    units: Literal["hu", "uint8"] = "hu",
    must_look_like_hu: bool = True,
    read_mask: Callable[[np.ndarray, Scaling], np.ndarray] = to_mask,
) -> Turned:
    """Turn an image and its mask to (Z, Y, X), and check that they belong together.

    Args:
        volume: name of the volume.
        image, mask: as read; no mask gives an empty one.
        units: what the image has to be.
        must_look_like_hu: see `to_hu`.
        read_mask: stored numbers -> {0, 1}.

    Raises:
        DatasetError: values or grids that do not fit.
    """
    stored, geometry = to_axial(image.stored_xyz, image.geometry)
    notes = list(image.notes)
    if units == "hu":
        pixels, fractional = to_hu(stored, image.scaling, must_look_like_hu)
        notes += ["fractions of HU were rounded"] if fractional else []
    else:
        pixels = to_uint8(stored, image.scaling)
    bits = np.zeros(pixels.shape, np.uint8)
    if mask is not None:
        stored_mask, mask_geometry = to_axial(mask.stored_xyz, mask.geometry)
        check_same_grid(geometry, pixels.shape, mask_geometry, stored_mask.shape)
        bits = read_mask(stored_mask, mask.scaling)
        notes += [f"mask: {note}" for note in mask.notes if note not in image.notes]
        notes += [] if bits.any() else ["the mask is empty"]
    z, y, x = pixels.shape
    return Turned(pixels, bits, VolumeInfo(volume, (z, y, x), geometry, image.geometry), tuple(notes))


def axial_shape(shape_xyz: tuple[int, int, int], geometry: Geometry) -> tuple[int, int, int]:
    """Return the size (z, y, x) that a volume will have once turned."""
    depth, height, width = to_axial(np.broadcast_to(np.uint8(0), shape_xyz), geometry)[0].shape
    return depth, height, width


def check_same_grid(image: Geometry, image_shape: tuple[int, ...], mask: Geometry, mask_shape: tuple[int, ...]) -> None:
    """Raise DatasetError unless two turned grids agree: in size, and at each corner to a tenth of a voxel's side."""
    if image_shape != mask_shape:
        raise DatasetError(f"its mask is {_size(mask_shape)} large, the image {_size(image_shape)} (z, y, x)")
    apart, allowed = corner_distance_mm(image, mask, image_shape), GRID_TOLERANCE * min(image.spacing_mm)
    if apart > allowed:
        raise DatasetError(
            f"its mask lies on another grid: their corners are up to {apart:.3g} mm apart, allowed are {allowed:.2g} "
            "mm (a tenth of the smallest voxel side). Resample the mask to the image first"
        )


def corner_distance_mm(one: Geometry, other: Geometry, shape_zyx: tuple[int, ...]) -> float:
    """Return the largest distance between the same corner of two grids."""
    corners = np.array(list(product(*((0, side - 1) for side in shape_zyx))))
    return float(np.linalg.norm(one.to_mm(corners) - other.to_mm(corners), axis=1).max())


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
