"""What came of predicting one scan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungzoo.data.geometry import from_axial
from lungzoo.errors import DatasetError
from lungzoo.inference.lesions import Lesion
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.volume import Volume
from lungzoo.weights.manifest import WeightsManifest


@dataclass(frozen=True)
class Result:
    """A scan with its mask.

    Args:
        source: the path it came from.
        volume: the scan.
        mask: uint8 {0, 1} (Z, Y, X) of the whole volume, with the slices that `volume.image` lacks.
        lesions: its components, the largest first.
        labels: names of the classes of the lesions; none where no model names any.
        weights: manifests of the models.
        threshold: probability from which a voxel is lesion.
        postprocess: what was done to the mask.
        flips: mirror images were averaged.
    """

    source: Path
    volume: Volume
    mask: np.ndarray
    lesions: list[Lesion]
    labels: tuple[str, ...]
    weights: tuple[WeightsManifest, ...]
    threshold: float
    postprocess: PostprocessConfig
    flips: bool = False

    def source_mask(self) -> np.ndarray:
        """Return the mask with the index axes (x, y, z) that the source has; raises DatasetError without a grid."""
        if self.volume.info is None:
            raise DatasetError(f"{self.source} has no grid, so its mask cannot be given back on one.")
        return from_axial(self.mask, self.volume.info.source_geometry.code)

    def in_words(self) -> str:
        """Return how many lesions there are, and how large the largest is, and of which class."""
        if not self.lesions:
            return "no lesion"
        first = self.lesions[0]
        size = f"{first.voxels} pixels" if math.isnan(first.volume_mm3) else f"{first.volume_mm3 / 1000:.2f} cm³"
        chance, name = max(zip(first.labels, self.labels, strict=True)) if first.labels else (0.0, "")
        return f"{len(self.lesions)} lesion(s), the largest {size}" + (f", {name} ({chance:.0%})" if name else "")
