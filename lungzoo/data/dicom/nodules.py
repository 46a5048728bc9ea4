"""LIDC's nodules on the grid of their CT: the voxels of each, and which readers mean the same nodule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.data.dicom.contours import fill
from lungzoo.data.dicom.lidc_xml import Nodule, Outline
from lungzoo.data.dicom.series import Series
from lungzoo.data.malignancy import malignancy_label
from lungzoo.errors import DatasetError

_SAME_PLACE = 0.1
_SAME_PLACE_MM = 0.05


@dataclass(frozen=True)
class Drawn:
    """A nodule of one reader: `voxels` are flat indices into the volume, sorted."""

    reader: int
    malignancy: float
    voxels: np.ndarray


@dataclass(frozen=True)
class Finding:
    """One nodule as its readers drew it."""

    drawn: list[Drawn]

    @property
    def malignancy(self) -> float:
        """Median of the readers, NaN where none gave one."""
        given = [one.malignancy for one in self.drawn if not np.isnan(one.malignancy)]
        return float(np.median(given)) if given else float("nan")

    @property
    def label(self) -> str:
        """What the median says; see `malignancy_label`."""
        return malignancy_label(self.malignancy)

    @property
    def voxels(self) -> np.ndarray:
        """Flat indices of what any reader drew."""
        return np.unique(np.concatenate([one.voxels for one in self.drawn]))


def draw(nodule: Nodule, reader: int, series: Series) -> Drawn:
    """Return the voxels of a nodule.

    The pixels of an outline lie just outside the nodule (pylidc reads them so too): what they enclose belongs to it and
    they do not. A hole takes away what it encloses and its own outline.

    Raises:
        DatasetError: an outline lies on no slice of the series, or beyond its edge.
    """
    shape = series.image.shape[1:]
    inside: dict[int, np.ndarray] = {}
    holes: list[tuple[int, np.ndarray]] = []
    for outline in nodule.outlines:
        z = _slice_of(outline, nodule.name, series)
        enclosed, edge = _enclosed(outline, nodule.name, shape)
        if outline.inclusion:
            inside.setdefault(z, np.zeros(shape, bool)).reshape(-1)[enclosed] = True
        else:
            holes += [(z, enclosed), (z, edge)]
    for z, pixels in holes:
        if z in inside:
            inside[z].reshape(-1)[pixels] = False
    voxels = [np.flatnonzero(inside[z]) + z * inside[z].size for z in sorted(inside)]
    return Drawn(reader, nodule.malignancy, np.concatenate([np.empty(0, np.int64), *voxels]))


def match(drawn: list[Drawn]) -> list[Finding]:
    """Group nodules that share a voxel, directly or through a third; those without voxels are left out."""
    groups: list[list[Drawn]] = []
    for one in drawn:
        if not len(one.voxels):
            continue
        same = [group for group in groups if any(_overlap(one, other) for other in group)]
        groups = [group for group in groups if group not in same]
        groups.append([one, *(other for group in same for other in group)])
    return [Finding(sorted(group, key=lambda one: one.reader)) for group in groups]


def _overlap(one: Drawn, other: Drawn) -> bool:
    a, b = one.voxels, other.voxels
    if a[0] > b[-1] or b[0] > a[-1]:
        return False
    return bool(np.intersect1d(a, b, assume_unique=True).size)


def _enclosed(outline: Outline, name: str, shape_px: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return flat indices within a slice: of the pixels that an outline encloses, and of its own."""
    x, y = outline.points_px.T
    rows, columns = shape_px
    if y.max() >= rows or x.max() >= columns:
        raise DatasetError(f"nodule {name}: an outline reaches beyond the slice, to x {x.max()}, y {y.max()}")
    corner = np.array([x.min(), y.min()])
    width, height = np.array([x.max(), y.max()]) - corner + 1
    mask = fill([outline.points_px - corner], (int(height), int(width)))
    mask[y - corner[1], x - corner[0]] = False
    row, column = np.nonzero(mask)
    return (row + corner[1]) * columns + column + corner[0], y * columns + x


def _slice_of(outline: Outline, name: str, series: Series) -> int:
    """Return the index of an outline's slice, by its UID or else by its position."""
    spacing = series.geometry.spacing_mm[0]
    count = len(series.image)
    indices = np.column_stack([np.arange(count), np.zeros((count, 2))])
    heights = series.geometry.to_mm(indices)[:, 2]
    z = series.slices.get((outline.sop_uid, 0))
    if z is None:
        z = int(np.argmin(np.abs(heights - outline.z_mm)))
        if abs(heights[z] - outline.z_mm) > max(_SAME_PLACE * spacing, _SAME_PLACE_MM):
            raise DatasetError(
                f"nodule {name}: lies on image {outline.sop_uid or '(no UID)'} at {outline.z_mm:g} mm, which is not in "
                "the series"
            )
    elif abs(heights[z] - outline.z_mm) > spacing / 2:
        raise DatasetError(
            f"nodule {name}: says its image lies at {outline.z_mm:g} mm, but it lies at {heights[z]:g} mm"
        )
    return z
