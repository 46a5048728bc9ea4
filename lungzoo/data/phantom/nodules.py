"""Nodules of the synthetic phantom: three-dimensional shapes, their HU and their Lung-RADS-like class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.data.phantom.anatomy import Chest
from lungzoo.data.phantom.grid import Grid, paint

NO_NODULE = "LR1"

# Diameters in mm from which a nodule of a type is LR3, LR4A and LR4B; below the first it is LR2.
THRESHOLDS_MM = {
    "solid": (6.0, 8.0, 15.0),
    "part-solid": (6.0, 12.0, 16.0),
    "ground-glass": (30.0, np.inf, np.inf),
    "spiculated": (0.0, 6.0, 8.0),
    "pleural": (10.0, 10.0, 15.0),
}
TYPES = tuple(THRESHOLDS_MM)
_HU = {"solid": 20.0, "part-solid": -600.0, "ground-glass": -600.0, "spiculated": 30.0, "pleural": 25.0}
_CORE_HU, _CORE_SHARE = 15.0, 0.5
# Per type: number of bumps, their height as a share of the radius, and how narrow they are.
_BUMPS = {"spiculated": (16, 0.65, 45.0)}
_SMOOTH = (6, 0.22, 3.0)


@dataclass(frozen=True)
class Nodule:
    """One nodule: centre (z, y, x) in mm, half-axes in mm along the rows of `turn`, and its bumps."""

    kind: str
    diameter_mm: float
    centre_mm: np.ndarray
    half_axes_mm: np.ndarray
    turn: np.ndarray
    bump_ways: np.ndarray
    bump_heights: np.ndarray

    @property
    def reach_mm(self) -> float:
        """No part of the nodule is farther from its centre than this."""
        return _reach_mm(self.half_axes_mm, self.bump_heights)

    @property
    def label(self) -> str:
        """Lung-RADS-like class by type and diameter."""
        return lung_rads(self.kind, self.diameter_mm)


def lung_rads(kind: str, diameter_mm: float) -> str:
    """Return the class of a nodule: "LR2", "LR3", "LR4A" or "LR4B".

    Args:
        kind: one of TYPES.
        diameter_mm: mean diameter, of the whole nodule; a part-solid one's solid core has half of it.
    """
    steps = sum(diameter_mm >= threshold for threshold in THRESHOLDS_MM[kind])
    return ("LR2", "LR3", "LR4A", "LR4B")[steps]


def draw_diameter_mm(rng: np.random.Generator) -> float:
    """Return a diameter between 4 and 35 mm, most often about 20."""
    return round(float(np.exp(rng.triangular(np.log(4), np.log(20), np.log(35)))), 2)


def place_nodule(
    grid: Grid,
    chest: Chest,
    kind: str,
    diameter_mm: float,
    others: list[Nodule],
    free_top: bool,
    rng: np.random.Generator,
) -> Nodule | None:
    """Make a nodule of a type and size and find it a place in the lung.

    Args:
        grid: voxel centres.
        chest: the chest on that grid.
        kind: one of TYPES.
        diameter_mm: of a sphere of the same volume, bumps aside.
        others: nodules to keep clear of.
        free_top: keep a quarter of the slices (one at least) free at the volume's top, else at its bottom.
        rng: the patient's random stream.

    Returns:
        The nodule, or None where no place clear of the other nodules was found.
    """
    axes = rng.uniform(0.85, 1.18, 3)
    axes *= diameter_mm / 2 / np.prod(axes) ** (1 / 3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    count, height, _ = _BUMPS.get(kind, _SMOOTH)
    ways = rng.standard_normal((count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    heights = height * rng.uniform(0.3, 1.0, count)
    reach = _reach_mm(axes, heights)
    for _ in range(20):
        centre = _find_centre(grid, chest, kind, diameter_mm / 2, reach, free_top, rng)
        gaps = [np.linalg.norm(centre - other.centre_mm) - other.reach_mm - reach for other in others]
        if all(gap > 4 for gap in gaps):
            return Nodule(kind, diameter_mm, centre, axes, turn, ways, heights)
    return None


def draw_nodule(hu: np.ndarray, grid: Grid, chest: Chest, nodule: Nodule, rng: np.random.Generator) -> np.ndarray:
    """Draw a nodule into `hu`, in place, and return its true shape as a boolean volume."""
    box = grid.box(nodule.centre_mm - nodule.reach_mm, nodule.centre_mm + nodule.reach_mm)
    part, view = grid.crop(box), hu[box]
    depth = _depth(part, nodule)
    radius = nodule.diameter_mm / 2
    shape_mm = np.maximum((depth - 1) * radius, chest.lung_mm[box])
    value = _HU[nodule.kind] + rng.normal(0, 12)
    if value < -300:  # vessels stay visible through ground glass
        haze = rng.normal(0, 25, view.shape)
        edge = np.clip(0.5 - shape_mm / max(part.pixel_mm, 0.3 * radius), 0, 1)
        paint(view, edge, np.maximum(view, value + haze))
    else:
        paint(view, part.cover(shape_mm), value)
    if nodule.kind == "part-solid":
        paint(view, part.cover((depth - _CORE_SHARE) * radius), _CORE_HU)
    truth = np.zeros(hu.shape, bool)
    truth[box] = shape_mm < 0
    return truth


def _reach_mm(half_axes_mm: np.ndarray, bump_heights: np.ndarray) -> float:
    return float(half_axes_mm.max() * (1 + bump_heights.max()))


def _depth(part: Grid, nodule: Nodule) -> np.ndarray:
    """Distance from the centre as a share of the surface's distance in that direction."""
    offset = np.stack(np.broadcast_arrays(part.z, part.y, part.x), axis=-1) - nodule.centre_mm
    inner = offset @ nodule.turn.T / nodule.half_axes_mm
    length = np.linalg.norm(inner, axis=-1)
    ways = inner / np.maximum(length, 1e-9)[..., None]
    sharpness = _BUMPS.get(nodule.kind, _SMOOTH)[2]
    bumps = np.exp(sharpness * (ways @ nodule.bump_ways.T - 1)) * nodule.bump_heights
    return length / (1 + bumps.max(axis=-1))


def _find_centre(
    grid: Grid,
    chest: Chest,
    kind: str,
    radius_mm: float,
    reach_mm: float,
    free_top: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Pick a centre (z, y, x): at the chest wall for pleural nodules, else deep enough in the lung."""
    z = _find_z(grid, radius_mm, reach_mm, free_top, rng)
    index = int(np.clip(round(z / grid.slice_mm), 0, grid.shape_zyx[0] - 1))
    lung, wall = chest.lung_mm[index], chest.wall_mm[index]
    if kind == "pleural":
        fits = (lung < 0) & (np.abs(wall + 0.55 * radius_mm) < grid.pixel_mm) & (wall > lung - 0.5)
    else:
        fits = lung < max(-1.1 * radius_mm, 0.85 * lung.min())
    spots = np.argwhere(fits if fits.any() else lung <= 0.9 * lung.min())
    row, column = spots[rng.integers(len(spots))]
    shift = rng.uniform(-0.5, 0.5, 2) * grid.pixel_mm
    return np.array([z, grid.y[0, row, 0] + shift[0], grid.x[0, 0, column] + shift[1]])


def _find_z(grid: Grid, radius_mm: float, reach_mm: float, free_top: bool, rng: np.random.Generator) -> float:
    """Pick a height near a slice; the volume's end cuts a nodule that the slices in use cannot hold."""
    slices = grid.shape_zyx[0]
    used = slices - max(1, slices // 4)
    limit = (used - 0.1) * grid.slice_mm - reach_mm
    nearest = rng.integers(max(0, int(limit / grid.slice_mm)) + 1) * grid.slice_mm
    z = min(limit, nearest + rng.uniform(-0.5, 0.5) * min(grid.slice_mm, radius_mm))
    return float(grid.z.max()) - z if free_top else z
