"""Surfaces of masks and the distances between them, in mm.

The surface of a mask are its pixels with a neighbour outside it, diagonal neighbours not counted: the mask without its
erosion by a cross. What lies beyond the image is outside, so a mask that touches the image's edge has a surface there.
Distances run between pixel centres, and every surface pixel weighs the same. This is the definition of MONAI's
metrics (without subvoxels); DeepMind's surface-distance weighs surface elements by their area and answers slightly
differently.

Source: Reinke et al. 2024, doi:10.1038/s41592-023-02150-0, and Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z,
for the metrics; Cardoso et al. 2022, arXiv:2211.02701, for MONAI.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A distance that equals the tolerance must count as within it, whatever the rounding of the spacing.
TIE_MM = 1e-6


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from each surface pixel of one mask to the nearest one of the other.

    Args:
        from_reference: (m,) mm, one per surface pixel of the reference, m > 0.
        from_prediction: (n,) mm, one per surface pixel of the prediction, n > 0.
    """

    from_reference: np.ndarray
    from_prediction: np.ndarray

    def hausdorff_mm(self, percentile: float = 100.0) -> float:
        """Return the larger of the two directed percentiles; 100 gives the Hausdorff distance, 95 HD95.

        Percentiles between two pixels are interpolated linearly.
        """
        directed = (self.from_reference, self.from_prediction)
        return max(_percentile(distances, percentile) for distances in directed)

    def average_mm(self) -> float:
        """Return the mean over the surface pixels of both masks (average symmetric surface distance)."""
        total = self.from_reference.sum() + self.from_prediction.sum()
        return float(total / (len(self.from_reference) + len(self.from_prediction)))

    def share_within(self, tolerance_mm: float) -> float:
        """Return the share of the surface pixels of both masks that lie within the tolerance of the other's."""
        within = sum(
            int(np.count_nonzero(distances <= tolerance_mm + TIE_MM))
            for distances in (self.from_reference, self.from_prediction)
        )
        return within / (len(self.from_reference) + len(self.from_prediction))


def surface_distances(reference: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    Args:
        reference, prediction: bool, one shape, neither empty.
        spacing_mm: distance of neighbouring pixels along each axis.
    """
    of_reference, of_prediction = (np.argwhere(surface_of(mask)) * spacing_mm for mask in (reference, prediction))
    return SurfaceDistances(_nearest_mm(of_reference, of_prediction), _nearest_mm(of_prediction, of_reference))


def surface_of(mask: np.ndarray) -> np.ndarray:
    """Return bool, `mask`'s shape: its pixels with a neighbour outside the mask or beyond the array."""
    padded = np.pad(mask, 1)
    inside = np.ones(mask.shape, bool)
    middle = slice(1, -1)
    for axis in range(mask.ndim):
        for step in (slice(None, -2), slice(2, None)):
            inside &= padded[tuple(step if other == axis else middle for other in range(mask.ndim))]
    surface: np.ndarray = mask & ~inside
    return surface


def _nearest_mm(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return (m,): how far the points (m, dimensions) are from the nearest of (n, dimensions), in their unit.

    A search tree of the surface gives the distances of a distance transform, and does not grow with the image.
    """
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(goal, balanced_tree=False, compact_nodes=False).query(start)[0])


def _percentile(distances: np.ndarray, percentile: float) -> float:
    return float(distances.max() if percentile == 100 else np.percentile(distances, percentile))
