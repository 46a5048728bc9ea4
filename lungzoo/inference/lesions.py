"""The lesions of a mask and how large they are, in mm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lungzoo.data.geometry import Geometry
from lungzoo.inference.components import Components

Box = tuple[slice, ...]
NameClasses = Callable[[int, np.ndarray, list[tuple[int, Box]]], np.ndarray | None]
"""(z, numbers (Y, X) of the lesions of a slice, number and bounding box of those it has) -> float (lesions, classes)
that sum to 1; None where the slice was not looked at, or nothing names classes."""

_CORNERS = np.array([[0.0, 0.5], [0.0, -0.5], [0.5, 0.0], [-0.5, 0.0]])


@dataclass(frozen=True)
class Lesion:
    """One connected component of a mask.

    Args:
        number: from 1, the largest first.
        voxels: how many it has.
        volume_mm3: NaN where the spacing is unknown.
        longest_diameter_mm: longest straight line within an axial slice, from edge to edge; NaN likewise.
        longest_diameter_z: index of the slice where that is; slices count from 0 at the feet.
        first_z, last_z: first and last slice that it is in.
        centroid_zyx: mean index of its voxels.
        centroid_mm: (x, y, z) in LPS; None without a grid.
        probability: mean of its voxels, in [0, 1].
        labels: probability of each class, mean of its slices by how much of it they hold; None where nothing names any.
    """

    number: int
    voxels: int
    volume_mm3: float
    longest_diameter_mm: float
    longest_diameter_z: int
    first_z: int
    last_z: int
    centroid_zyx: tuple[float, float, float]
    centroid_mm: tuple[float, float, float] | None
    probability: float
    labels: tuple[float, ...] | None = None


@dataclass
class _Sums:
    """What is gathered of one component, slice by slice."""

    voxels: int = 0
    places: np.ndarray = field(default_factory=lambda: np.zeros(3))
    probability: float = 0.0
    diameter: float = -1.0
    diameter_z: int = 0
    first_z: int = -1
    last_z: int = -1
    labels: np.ndarray | None = None
    labelled: int = 0


def measure_lesions(
    mask: np.ndarray,
    probability: np.ndarray,
    spacing_mm: tuple[float, float, float],
    geometry: Geometry | None = None,
    name_classes: NameClasses | None = None,
) -> list[Lesion]:
    """Measure the components of a mask, the largest first.

    Args:
        mask: bool or uint8 (Z, Y, X).
        probability: (Z, Y, X) of lesion: floating in [0, 1], or uint8, whose 255 stands for 1.
        spacing_mm: (z, y, x); NaN where unknown.
        geometry: grid of the mask; None without one.
        name_classes: what says how likely the classes of the lesions of a slice are; None where nothing does.
    """
    components = Components(mask)
    found = [_Sums() for _ in range(components.count)]
    # Unknown spacing still tells which line is the longest.
    steps = np.nan_to_num(np.array(spacing_mm[1:]), nan=1.0)
    for z, numbers in components.slices():
        _add_slice(found, z, numbers, probability[z], steps, name_classes)
    order = sorted(range(len(found)), key=lambda place: (-found[place].voxels, place))
    return [_lesion(number, found[place], spacing_mm, geometry) for number, place in enumerate(order, 1)]


def longest_line(mask: np.ndarray, spacing_yx_mm: np.ndarray) -> float:
    """Return the longest distance between two points of a shape, from edge to edge: Feret's largest diameter.

    The outline runs through the middles of the pixels' outer sides, so that a row of n pixels is n pixels long.

    Args:
        mask: bool (H, W), not empty.
        spacing_yx_mm: (y, x) distance between pixels.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, left], 1), np.stack([rows, right], 1)])
    points = (ends[:, None] + _CORNERS).reshape(-1, 2) * spacing_yx_mm
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _add_slice(
    found: list[_Sums],
    z: int,
    numbers: np.ndarray,
    probability: np.ndarray,
    steps: np.ndarray,
    name_classes: NameClasses | None,
) -> None:
    from scipy.ndimage import find_objects

    unit = 1 / 255 if probability.dtype == np.uint8 else 1.0
    here = [(place, box) for place, box in enumerate(find_objects(numbers)) if box is not None]
    labels = name_classes(z, numbers, [(place + 1, box) for place, box in here]) if name_classes and here else None
    for row, (place, box) in enumerate(here):
        shape, sums = numbers[box] == place + 1, found[place]
        y, x = np.nonzero(shape)
        count = len(y)
        sums.voxels += count
        sums.places += [z * count, y.sum() + box[0].start * count, x.sum() + box[1].start * count]
        sums.probability += float(probability[box][shape].sum(dtype=np.float64)) * unit
        sums.first_z = z if sums.first_z < 0 else sums.first_z
        sums.last_z = z
        if (length := longest_line(shape, steps)) > sums.diameter:
            sums.diameter, sums.diameter_z = length, z
        if labels is not None:
            sums.labels = labels[row] * count + (0 if sums.labels is None else sums.labels)
            sums.labelled += count


def _lesion(number: int, sums: _Sums, spacing_mm: tuple[float, float, float], geometry: Geometry | None) -> Lesion:
    centroid = sums.places / sums.voxels
    in_mm = None if geometry is None else geometry.to_mm(centroid)
    known = bool(np.isfinite(spacing_mm[1:]).all())
    return Lesion(
        number,
        sums.voxels,
        sums.voxels * float(np.prod(spacing_mm)),
        sums.diameter if known else float("nan"),
        sums.diameter_z,
        sums.first_z,
        sums.last_z,
        (float(centroid[0]), float(centroid[1]), float(centroid[2])),
        None if in_mm is None else (float(in_mm[0]), float(in_mm[1]), float(in_mm[2])),
        sums.probability / sums.voxels,
        _mean_labels(sums),
    )


def _mean_labels(sums: _Sums) -> tuple[float, ...] | None:
    if sums.labels is None or not np.isfinite(sums.labels).all():  # weights can be so large that nothing comes of them
        return None
    return tuple((sums.labels / sums.labelled).tolist())
