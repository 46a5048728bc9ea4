"""Another pixel grid for a slice, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Pixels of a result within a source slice: pixel i of an axis lies at origin + i · step, in source pixels.

    Args:
        origin_yx: where the first pixel lies.
        step_yx: distance between pixels; above 1 the result is coarser.
        shape_yx: size of the result.
        source_yx: size of the source.
    """

    origin_yx: tuple[float, float]
    step_yx: tuple[float, float]
    shape_yx: tuple[int, int]
    source_yx: tuple[int, int]

    @classmethod
    def around(
        cls,
        centre_yx: tuple[float, float],
        step_yx: tuple[float, float],
        shape_yx: tuple[int, int],
        source_yx: tuple[int, int],
    ) -> Grid:
        """Make one whose middle lies at a place of the source."""
        (cy, cx), (sy, sx), (h, w) = centre_yx, step_yx, shape_yx
        return cls((cy - sy * (h - 1) / 2, cx - sx * (w - 1) / 2), (sy, sx), shape_yx, source_yx)

    @property
    def inverse(self) -> Grid:
        """The source's pixels within the result."""
        (oy, ox), (sy, sx) = self.origin_yx, self.step_yx
        return Grid((-oy / sy, -ox / sx), (1 / sy, 1 / sx), self.source_yx, self.shape_yx)

    def resample(self, image: np.ndarray, fill: float) -> np.ndarray:
        """Return a slice (H, W) on this grid, float32; outside the source it is `fill`.

        Between pixels linear; where the result is coarser every source pixel counts by its share (a triangle as wide as
        two result pixels), so that nothing thin is skipped.
        """
        rows, columns = (
            _weights(self.shape_yx[axis], self.source_yx[axis], self.origin_yx[axis], self.step_yx[axis])
            for axis in (0, 1)
        )
        return rows @ (image.astype(np.float32) - fill) @ columns.T + np.float32(fill)

    def resample_mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask (H, W) on this grid, uint8 {0, 1}: lesion where at least half of a pixel is."""
        return (self.resample(mask > 0, 0.0) >= 0.5 - 1e-5).astype(np.uint8)


@lru_cache(maxsize=64)
def _weights(count: int, source: int, origin: float, step: float) -> np.ndarray:
    """Return float32 (count, source): rows sum to 1 within the source, to 0 outside."""
    places = origin + step * np.arange(count)
    reach = max(step, 1.0)
    distance = np.abs(places[:, None] - np.arange(source)[None])
    weights = np.maximum(1 - distance / reach, 0.0)
    inside = (places > -0.5 - 1e-6) & (places < source - 0.5 + 1e-6)
    weights *= inside[:, None]
    return (weights / np.maximum(weights.sum(1, keepdims=True), 1e-12)).astype(np.float32)
