"""Which slice of a scan is explained, and which of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.inference.components import Components
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume
from lungzoo.metrics.lesions import label_components


@dataclass(frozen=True)
class Target:
    """What a person asks about; nothing means the slice of the largest lesion and all that is marked there.

    Args:
        lesion: number of a lesion, from 1, the largest first.
        at_zyx: a voxel.
        slice_z: a slice, from 0 at the feet.
    """

    lesion: int | None = None
    at_zyx: tuple[int, int, int] | None = None
    slice_z: int | None = None

    def __post_init__(self) -> None:
        if self.at_zyx is not None and (self.lesion is not None or self.slice_z is not None):
            raise UsageError("--at names a slice and a place of its own. Leave --lesion and --slice out.")


@dataclass(frozen=True)
class Place:
    """A slice and the pixels whose answer is explained.

    Args:
        row: index of the slice in `volume.image`.
        z: index of the slice in the whole volume.
        region: bool (H, W); empty where nothing is marked.
        words: what the region is, for the title.
    """

    row: int
    z: int
    region: np.ndarray
    words: str


def check_target(volume: Volume, target: Target) -> None:
    """Raise UsageError where a scan has no such slice or voxel: it is known before the scan is predicted."""
    if target.at_zyx is not None:
        _voxel(target.at_zyx, volume.shape_zyx)
    z = target.slice_z if target.at_zyx is None else target.at_zyx[0]
    if z is not None:
        _row(volume, _within("slice", z, volume.shape_zyx[0]))


def find_place(result: Result, target: Target) -> Place:
    """Return the slice and the region that a target means.

    Raises:
        UsageError: no such lesion, slice or voxel, or a lesion that is not in the slice.
    """
    if target.at_zyx is not None:
        return _place_at(result, target.at_zyx)
    z = _slice_of(result, target)
    region, words = result.mask[z] > 0, "the predicted mask"
    if target.lesion is not None:
        region, words = _lesion_in(result, target.lesion, z), f"lesion {target.lesion}"
    return Place(_row(result.volume, z), z, region, words)


def _slice_of(result: Result, target: Target) -> int:
    _check_lesion(result, target.lesion)
    if target.slice_z is not None:
        return _within("slice", target.slice_z, result.mask.shape[0])
    if result.lesions:
        return result.lesions[(target.lesion or 1) - 1].longest_diameter_z
    return int(result.volume.z[len(result.volume.z) // 2])


def _check_lesion(result: Result, lesion: int | None) -> None:
    if lesion is not None and not 1 <= lesion <= len(result.lesions):
        allowed = f"1 to {len(result.lesions)}" if result.lesions else "none, there is no lesion"
        raise UsageError(f"No lesion {lesion}. Allowed: {allowed}. A place without a lesion is explained with --at.")


def _lesion_in(result: Result, lesion: int, z: int) -> np.ndarray:
    """Return the pixels of a lesion in a slice; lesions are numbered as `measure_lesions` does."""
    components = Components(result.mask)
    number = int(np.argsort(-components.voxels, kind="stable")[lesion - 1]) + 1
    found: np.ndarray = dict(components.slices()).get(z, np.zeros(result.mask.shape[1:], np.int32)) == number
    if not found.any():
        known = result.lesions[lesion - 1]
        raise UsageError(
            f"Lesion {lesion} is not in slice {z}. Allowed: slices {known.first_z} to {known.last_z}, or leave --slice "
            "out."
        )
    return found


def _place_at(result: Result, at_zyx: tuple[int, int, int]) -> Place:
    """Return the lesion in a slice that holds a voxel, or that voxel alone."""
    z, y, x = _voxel(at_zyx, result.volume.shape_zyx)
    numbers = label_components(result.mask[z])
    if numbers[y, x]:
        return Place(_row(result.volume, z), z, numbers == numbers[y, x], f"the lesion at y {y}, x {x}")
    region = np.zeros(result.mask.shape[1:], bool)
    region[y, x] = True
    return Place(_row(result.volume, z), z, region, f"the pixel at y {y}, x {x}, no lesion")


def _voxel(at_zyx: tuple[int, int, int], shape_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    z, y, x = (_within(name, index, side) for name, index, side in zip(("z", "y", "x"), at_zyx, shape_zyx, strict=True))
    return z, y, x


def _within(name: str, index: int, side: int) -> int:
    if not 0 <= index < side:
        raise UsageError(f"There is no {name} {index}. Allowed: 0 to {side - 1}.")
    return index


def _row(volume: Volume, z: int) -> int:
    rows = np.flatnonzero(volume.z == z)
    if not len(rows):
        there = volume.z
        raise UsageError(f"Slice {z} is not in the dataset. Allowed: some of {there.min()} to {there.max()}.")
    return int(rows[0])
