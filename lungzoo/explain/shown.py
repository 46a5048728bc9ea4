"""A slice as a model sees it, with the region that is explained, and the way back to the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.data.preprocess.grid import Grid
from lungzoo.errors import UsageError
from lungzoo.explain.contract import Subject
from lungzoo.inference.prepare import Prepared, prepare


@dataclass(frozen=True)
class Shown:
    """One input of a 2D or 2.5D model.

    Args:
        image: float32 (1, H, W, C).
        region: bool (H, W), on the grid of the input.
        prepared: the scan behind the model's preprocessing.
        row: index of the slice in the volume's image.
    """

    image: np.ndarray
    region: np.ndarray
    prepared: Prepared
    row: int

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Spacing (y, x) of the input's pixels; NaN where unknown."""
        return self.prepared.source.spacing_mm(self.row)

    def back(self, values: np.ndarray) -> np.ndarray:
        """Return a map (H, W) of the input on the scan's own grid, float32; NaN where it is, or nothing was seen."""
        rows, seen = np.array([self.row]), np.isfinite(values)
        inverse = self.prepared.source.inverse
        found = inverse(np.where(seen, values, 0).astype(np.float32)[None], rows)[0]
        found[~inverse(seen.astype(np.uint8)[None], rows)[0].astype(bool)] = np.nan
        return found


def show(subject: Subject) -> Shown:
    """Return the subject's slice as its first model sees it.

    Raises:
        DatasetError: the scan does not go with the weights.
        UsageError: the region lies outside of the model's grid.
    """
    marked = np.zeros(subject.volume.image.shape, np.uint8)
    marked[subject.row] = subject.region
    predictor, manifest = subject.predictor, subject.predictor.manifest
    prepared = prepare(subject.volume, predictor.protocol, manifest.model, predictor.is_3d, manifest.name, marked)
    rows = np.array([subject.row])
    region = prepared.read_marked(rows)[0]
    if subject.region.any() and not region.any():
        region = _nearest(subject.region, prepared.source.grid(subject.row), manifest.name)
    return Shown(prepared.read(rows), region, prepared, subject.row)


def _nearest(region: np.ndarray, grid: Grid, weights: str) -> np.ndarray:
    """Return the one pixel of a grid that lies nearest to the middle of a region too small for it."""
    middle = np.argwhere(region).mean(axis=0)
    place = np.rint((middle - grid.origin_yx) / grid.step_yx).astype(int)
    if (place < 0).any() or (place >= grid.shape_yx).any():
        raise UsageError(
            f"The region lies outside of what '{weights}' looks at, such as the box of the lungs. Choose another place "
            "with --at."
        )
    found = np.zeros(grid.shape_yx, bool)
    found[tuple(place)] = True
    return found
