"""Lung tissue of the synthetic phantom, with branching vessels and the airways beside them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from lungzoo.data.phantom.grid import Grid, paint

VESSEL_HU = 35.0
TREES_PER_LUNG = 6
_THINNEST_MM = 0.7


def draw_lung(hu: np.ndarray, grid: Grid, lung: np.ndarray, tone: np.ndarray, rng: np.random.Generator) -> None:
    """Draw air-filled tissue, denser towards the back, with branching vessels and airways beside them."""
    cover = grid.cover(lung)
    tissue = rng.uniform(-885, -835) + 0.35 * grid.y + 14 * tone
    grain = gaussian_filter(rng.standard_normal(grid.shape_zyx), (0.5, *[1.5 / grid.pixel_mm] * 2))
    paint(hu, cover, tissue + 22 * np.abs(grain / grain.std()))
    vessels, lumen = np.zeros(grid.shape_zyx), np.zeros(grid.shape_zyx)
    for start, end, radius in _vessel_segments(grid, rng):
        _draw_tube(vessels, grid, start, end, radius)
        if 1.5 < radius < 3.2:
            beside = np.array([0.6, 1.0, 1.0]) * (radius + 0.5)
            _draw_tube(vessels, grid, start + beside, end + beside, 0.75 * radius + 0.5, strength=0.4)
            _draw_tube(lumen, grid, start + beside, end + beside, 0.75 * radius - 0.3)
    paint(hu, cover * vessels, VESSEL_HU)
    paint(hu, cover * lumen, -930.0)


def _draw_tube(
    into: np.ndarray, grid: Grid, start: np.ndarray, end: np.ndarray, radius_mm: float, strength: float = 1.0
) -> None:
    """Draw a round-ended tube into a cover array, keeping what is stronger."""
    margin = radius_mm + grid.pixel_mm
    box = grid.box(np.minimum(start, end) - margin, np.maximum(start, end) + margin)
    part = grid.crop(box)
    axis = end - start
    offset = (part.z - start[0], part.y - start[1], part.x - start[2])
    along = sum(o * a for o, a in zip(offset, axis, strict=True)) / max(axis @ axis, 1e-9)
    along = np.clip(along, 0, 1)
    squares = sum((o - along * a) ** 2 for o, a in zip(offset, axis, strict=True))
    thin = min(1.0, 2.2 * radius_mm / grid.pixel_mm)
    np.maximum(into[box], strength * thin * part.cover(np.sqrt(squares) - radius_mm), out=into[box])


def _vessel_segments(grid: Grid, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Grow vessel trees from both hila; return (start, end, radius) of the segments that cross the slices."""
    top, bottom = -2.0, float(grid.z.max()) + 2.0
    kept = []
    for tree in range(2 * TREES_PER_LUNG):
        side, fan = (-1, 1)[tree % 2], 2 * (tree // 2) / (TREES_PER_LUNG - 1) - 1
        heads = np.array([[rng.uniform(top - 12, bottom + 12), 3 + 12 * fan, side * 28.0]])
        ways = np.array([[rng.normal(0, 0.3), 1.6 * fan + rng.normal(0, 0.2), side]])
        radii = np.array([rng.uniform(2.8, 4.6)])
        while len(heads) and radii.max() > _THINNEST_MM:
            ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
            tips = heads + ways * (6.0 + 3.5 * radii[:, None]) * rng.uniform(0.7, 1.4, (len(heads), 1))
            low, high = np.minimum(heads[:, 0], tips[:, 0]), np.maximum(heads[:, 0], tips[:, 0])
            seen = np.flatnonzero((high + radii > top) & (low - radii < bottom))
            kept += [(heads[i], tips[i], float(radii[i])) for i in seen]
            heads, ways, radii = _branch(tips, ways, radii, rng)
    return kept


def _branch(
    tips: np.ndarray, ways: np.ndarray, radii: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two thinner branches at each tip; those too thin end."""
    heads, ways = np.repeat(tips, 2, axis=0), np.repeat(ways, 2, axis=0)
    ways = ways + rng.normal(0, (0.4, 0.5, 0.5), ways.shape)
    radii = np.repeat(radii, 2) * rng.uniform(0.62, 0.92, 2 * len(tips))
    alive = radii > _THINNEST_MM
    return heads[alive], ways[alive], radii[alive]
