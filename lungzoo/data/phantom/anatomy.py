"""The chest of the synthetic phantom: body wall, bones, mediastinum and lungs, in HU.

Shapes are signed distances in mm (negative inside) on axes z (feet), y (back) and x (the patient's left). All
arithmetic is float64: rounding to int16 then hides the last-bit differences between processors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from lungzoo.data.phantom.grid import Grid, paint
from lungzoo.data.phantom.lung import draw_lung

AIR_HU = -1000.0


@dataclass(frozen=True)
class Chest:
    """A chest without nodules: HU, and the signed distances that nodules are placed by."""

    hu: np.ndarray
    body_mm: np.ndarray
    lung_mm: np.ndarray
    wall_mm: np.ndarray
    """Distance to the inner chest wall alone; the lungs also end at the mediastinum."""


@dataclass(frozen=True)
class _Build:
    """The patient's measures, all in mm but `level`: 0 at the lung's apex, 1 at its base."""

    level: float
    body: tuple[float, float]
    cavity: tuple[float, float]
    wall: float
    mediastinum: float
    heart: tuple[float, float]
    rib_phase: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Build:
        half_width = rng.uniform(146, 164)
        body = (half_width, half_width * rng.uniform(0.64, 0.72))
        fat, wall = rng.uniform(6, 18), rng.uniform(19, 25)
        cavity = (body[0] - fat - wall, body[1] - 0.7 * fat - wall)
        heart = (rng.uniform(42, 56), rng.uniform(34, 44))
        return cls(rng.uniform(0.1, 0.9), body, cavity, wall, rng.uniform(17, 25), heart, rng.uniform())


def draw_chest(grid: Grid, rng: np.random.Generator) -> Chest:
    """Draw one patient's chest.

    Args:
        grid: voxel centres.
        rng: the patient's random stream.

    Returns:
        HU without noise, and distances in mm, all of the grid's shape.
    """
    build = _Build.draw(rng)
    tone = gaussian_filter(rng.standard_normal(grid.shape_zyx), (0.7, *[7 / grid.pixel_mm] * 2))
    tone /= tone.std()
    wobble = 0.02 * np.cos(3 * np.arctan2(grid.y, grid.x) + rng.uniform(0, 6.28))
    body = _ellipse(grid, (0, 0), build.body, power=2.3) * (1 + wobble)
    scale = 0.84 + 0.16 * np.clip(1.6 * (build.level + grid.z / 250), 0, 1)
    wall = _ellipse(grid, (-2, 0), build.cavity, scale)
    hu = np.full(grid.shape_zyx, AIR_HU)
    paint(hu, grid.cover(body), 10.0)
    paint(hu, grid.cover(body + 2.5), -105.0 + 8 * tone)
    paint(hu, grid.cover(np.maximum(wall - build.wall, body + 6)), 48.0 - 28 * np.maximum(tone - 0.4, 0))
    middle = _draw_mediastinum(hu, grid, build, wall, tone)
    lung = np.maximum(wall, -middle)
    draw_lung(hu, grid, lung, tone, rng)
    _draw_bones(hu, grid, build, wall)
    return Chest(hu, np.broadcast_to(body, grid.shape_zyx), lung, np.broadcast_to(wall, grid.shape_zyx))


def add_noise(hu: np.ndarray, body_mm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return int16 HU as a scanner would show them: slightly blurred, correlated noise, clean air."""
    blurred = gaussian_filter(hu, (0, 0.45, 0.45))
    grain = gaussian_filter(rng.standard_normal(hu.shape), (0, 0.6, 0.6))
    blurred += grain * (rng.uniform(16, 34) / grain.std())
    blurred[body_mm > 0] = AIR_HU
    return np.rint(np.clip(blurred, -1024, 1500)).astype(np.int16)


def _ellipse(
    grid: Grid,
    centre_yx: tuple[float, float],
    half_xy: tuple[float, float],
    scale: np.ndarray | float = 1.0,
    power: float = 2.0,
) -> np.ndarray:
    """Signed distance to an upright (super)ellipse, exact to first order near its edge; `scale` per slice."""
    y, x = grid.y - centre_yx[0], grid.x - centre_yx[1]
    a, b = half_xy
    circular = np.maximum(np.hypot(x / a, y / b), 1e-9)
    norm = circular if power == 2 else (np.abs(x / a) ** power + np.abs(y / b) ** power) ** (1 / power)
    slope = np.maximum(np.hypot(x / a**2, y / b**2) / circular, 1e-9)
    return (norm - scale) / slope


def _join(a: np.ndarray, b: np.ndarray, blend_mm: float = 9.0) -> np.ndarray:
    """Union of two shapes with a rounded seam."""
    mix = np.clip(0.5 + (b - a) / (2 * blend_mm), 0, 1)
    return b + mix * (a - b) - blend_mm * mix * (1 - mix)


def _draw_mediastinum(hu: np.ndarray, grid: Grid, build: _Build, wall: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Draw heart, great vessels, gullet, windpipe and liver dome; return the distance to all of it."""
    level = build.level + grid.z / 250
    heart_size = np.clip(0.25 + 1.1 * level, 0.3, 1.1)
    heart = _ellipse(grid, (-22.0, 20.0), build.heart, heart_size)
    spine = _ellipse(grid, (0.62 * build.cavity[1], 0.0), (24.0, 28.0))
    column = _ellipse(grid, (-10.0, 2.0), (build.mediastinum, 1.15 * build.cavity[1]), power=2.6)
    dome = np.where(level > 0.8, 0.75 + 0.8 * np.sqrt(np.clip(level - 0.8, 0, 1)), 1e-3)
    liver = _ellipse(grid, (2.0, -0.42 * build.cavity[0]), (48.0, 42.0), dome)
    middle = _join(_join(_join(column, heart), spine), liver)
    paint(hu, grid.cover(wall), -50.0 + 25 * tone)
    paint(hu, grid.cover(np.minimum(heart, spine) + 3), 42.0 + 4 * tone)
    paint(hu, grid.cover(liver + 2), 58.0 + 3 * tone)
    aorta = _ellipse(grid, (0.36 * build.cavity[1], 21.0), (12.5, 12.5))
    arch = _ellipse(grid, (-26.0, 8.0), (15.0, 16.0), np.clip(1.3 - level, 0.5, 1))
    cava = _ellipse(grid, (-20.0, -16.0), (8.0, 9.0))
    gullet = _ellipse(grid, (18.0, 4.0), (6.0, 5.0))
    for shape in (aorta, arch, cava, gullet):
        paint(hu, grid.cover(shape), 44.0)
    _draw_windpipe(hu, grid, level)
    return middle


def _draw_windpipe(hu: np.ndarray, grid: Grid, level: np.ndarray) -> None:
    """Draw the trachea, which becomes two main bronchi below the carina."""
    apart_mm = np.clip(110 * (level - 0.35), 0, 26)
    radius = np.where(apart_mm > 0, 6.5, 8.5) * (level < 0.75)
    for side in (-1, 1):
        tube = np.hypot(grid.y - 4, grid.x - side * apart_mm)
        paint(hu, grid.cover(np.where(radius > 0, tube - radius - 1.5, 1e3)), 30.0)
        paint(hu, grid.cover(np.where(radius > 0, tube - radius, 1e3)), -990.0)


def _draw_bones(hu: np.ndarray, grid: Grid, build: _Build, wall: np.ndarray) -> None:
    """Draw vertebra, sternum, ribs and shoulder blades: a dense shell around softer marrow."""
    back = 0.62 * build.cavity[1]
    arch = np.minimum(
        _ellipse(grid, (back + 34, 0.0), (4.0, 11.0)),
        np.maximum(_ellipse(grid, (back + 19, 0.0), (13.0, 13.0)), -_ellipse(grid, (back + 17, 0.0), (9.0, 9.0))),
    )
    wings = np.hypot((np.abs(grid.x) - 22) / 13, (grid.y - back - 20) / 4.5) - 1
    for shape in (_ellipse(grid, (back, 0.0), (17.0, 14.0)), arch, 4.5 * wings):
        _bone(hu, grid, shape, 190.0)
    _bone(hu, grid, _ellipse(grid, (-build.cavity[1] - 9, 0.0), (17.0, 6.0)), 130.0)
    around = np.arctan2(np.abs(grid.x) / build.cavity[0], -grid.y / build.cavity[1])
    turn = around * 5 / np.pi + grid.z / 28 + build.rib_phase
    along_mm = (turn - np.floor(turn) - 0.5) * np.pi * 0.9 * build.cavity[0] / 5
    _bone(hu, grid, 4.5 * (np.hypot((wall - 7.5) / 4.5, along_mm / 15) - 1), 150.0)
    if build.level < 0.55:
        blade = np.hypot((wall - 17) / 3, (around - 2.1) * build.cavity[0] / 32) - 1
        _bone(hu, grid, 3 * blade, 170.0)


def _bone(hu: np.ndarray, grid: Grid, shape_mm: np.ndarray, marrow_hu: float) -> None:
    paint(hu, grid.cover(shape_mm), 480.0)
    paint(hu, grid.cover(shape_mm + 2.0), marrow_hu)
