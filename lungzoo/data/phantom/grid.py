"""The synthetic phantom's voxels, and how shapes become pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_OF_VIEW_MM = 340.0
SLICE_THICKNESS_MM = 2.5
LEAST_HEIGHT_MM = 30.0


@dataclass(frozen=True)
class Grid:
    """Voxel centres in mm: z `(n, 1, 1)` from 0, y `(1, H, 1)` and x `(1, 1, W)` from the image's centre."""

    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    pixel_mm: float
    slice_mm: float

    @classmethod
    def make(cls, slices: int, size_px: int) -> Grid:
        """Return `slices` square slices over the field of view; few slices are set wider apart."""
        pixel_mm = FIELD_OF_VIEW_MM / size_px
        axis = (np.arange(size_px) - (size_px - 1) / 2) * pixel_mm
        slice_mm = max(SLICE_THICKNESS_MM, LEAST_HEIGHT_MM / slices)
        z = np.arange(slices) * slice_mm
        return cls(z[:, None, None], axis[None, :, None], axis[None, None, :], pixel_mm, slice_mm)

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.z.size, self.y.size, self.x.size

    def box(self, low_mm: np.ndarray, high_mm: np.ndarray) -> tuple[slice, slice, slice]:
        """Return the smallest index box that holds the voxels between two corners (z, y, x)."""
        axes = (self.z.ravel(), self.y.ravel(), self.x.ravel())
        edges = zip(axes, low_mm, high_mm, strict=True)
        bounds = [(np.searchsorted(a, lo), np.searchsorted(a, hi, "right")) for a, lo, hi in edges]
        return slice(*bounds[0]), slice(*bounds[1]), slice(*bounds[2])

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        """Return the grid of a box."""
        return Grid(self.z[box[0]], self.y[:, box[1]], self.x[:, :, box[2]], self.pixel_mm, self.slice_mm)

    def cover(self, distance_mm: np.ndarray) -> np.ndarray:
        """Return the share of each pixel, 0 to 1, that lies inside a shape given by its signed distance."""
        return np.clip(0.5 - distance_mm / self.pixel_mm, 0.0, 1.0)


def paint(hu: np.ndarray, cover: np.ndarray, value_hu: np.ndarray | float) -> None:
    """Mix a value into an image, in place, by the share of each pixel that it covers."""
    hu += cover * (value_hu - hu)
