"""One case for the metrics: reference, prediction, spacing, and what several metrics need of them, computed once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.lesions import LesionMatch, label_components, match_lesions
from lungzoo.metrics.overlap import Overlap
from lungzoo.metrics.surface import SurfaceDistances, surface_distances


@dataclass(frozen=True, eq=False)
class MaskPair:
    """A reference mask, a predicted mask and the size of their pixels.

    Overlap counts, surface distances and lesions are computed on first use and kept, on the part of the image that
    holds the two masks. The arrays must not change afterwards.

    Args:
        reference, prediction: bool arrays of one shape, (H, W) or (D, H, W), with at least one pixel.
        spacing_mm: distance of neighbouring pixels along each axis of the arrays, above 0; None where it is not
            known, and then every metric in mm is NaN.

    Raises:
        UsageError: masks that are not boolean, differ in shape or have another number of dimensions, or a spacing
            that does not fit them.
    """

    reference: np.ndarray
    prediction: np.ndarray
    spacing_mm: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for role, mask in (("reference", self.reference), ("prediction", self.prediction)):
            check_mask(role, mask)
        if self.reference.shape != self.prediction.shape:
            raise UsageError(
                f"Masks differ in shape. Received: reference {self.reference.shape}, prediction "
                f"{self.prediction.shape}. Bring the prediction back to the grid of the reference first."
            )
        if self.spacing_mm is not None:
            object.__setattr__(self, "spacing_mm", check_spacing(self.spacing_mm, self.reference.ndim))

    @cached_property
    def overlap(self) -> Overlap:
        """Counts of agreeing and disagreeing pixels."""
        both = int(np.count_nonzero(self.reference & self.prediction))
        return Overlap(both, self.prediction_px - both, self.reference_px - both)

    @cached_property
    def reference_px(self) -> int:
        """Number of pixels of the reference."""
        return int(np.count_nonzero(self.reference))

    @cached_property
    def prediction_px(self) -> int:
        """Number of pixels of the prediction."""
        return int(np.count_nonzero(self.prediction))

    @property
    def true_negative(self) -> int:
        """Number of pixels that are in neither mask."""
        counts = self.overlap
        return self.reference.size - counts.true_positive - counts.false_positive - counts.false_negative

    @property
    def pixel_size(self) -> float:
        """Area of a pixel in mm², or volume of a voxel in mm³; NaN where the spacing is unknown."""
        return math.prod(self.spacing_mm) if self.spacing_mm is not None else math.nan

    @property
    def diagonal_mm(self) -> float:
        """Diagonal of the whole image, more than any distance in it; NaN where the spacing is unknown."""
        if self.spacing_mm is None:
            return math.nan
        return math.hypot(*(size * step for size, step in zip(self.reference.shape, self.spacing_mm, strict=True)))

    @cached_property
    def box(self) -> tuple[slice, ...]:
        """The smallest part of the image that holds both masks; of empty masks an empty one."""
        return bounding_box(self.reference | self.prediction)

    @cached_property
    def surface_distances(self) -> SurfaceDistances | None:
        """Distances between the surfaces of the masks; None where one is empty or the spacing is unknown."""
        if self.spacing_mm is None or not self.reference_px or not self.prediction_px:
            return None
        return surface_distances(self.reference[self.box], self.prediction[self.box], self.spacing_mm)

    @cached_property
    def lesions(self) -> LesionMatch:
        """The connected components of both masks, and which of them hit one another."""
        return match_lesions(label_components(self.reference[self.box]), label_components(self.prediction[self.box]))


def check_mask(role: str, mask: np.ndarray) -> None:
    """Raise UsageError unless `mask` is a boolean array of 2 or 3 dimensions with at least one pixel."""
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        received = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise UsageError(
            f"The {role} must be a boolean array. Received: {received}. "
            "Compare first: labels > 0, or probability >= threshold."
        )
    if mask.ndim not in (2, 3) or not mask.size:
        raise UsageError(f"The {role} must be (H, W) or (D, H, W), with at least one pixel. Received: {mask.shape}.")


def check_spacing(spacing_mm: tuple[float, ...], dimensions: int) -> tuple[float, ...]:
    """Return the spacing as floats; raises UsageError unless there are `dimensions` finite ones above 0."""
    try:
        values = tuple(float(step) for step in spacing_mm)
    except (TypeError, ValueError):
        values = ()
    if len(values) != dimensions or not all(math.isfinite(step) and step > 0 for step in values):
        raise UsageError(
            f"The spacing must be {dimensions} numbers above 0, in mm, one per axis of the masks. Received: "
            f"{spacing_mm!r}. Where it is not known, give None: metrics in mm are then NaN."
        )
    return values


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the slices of the smallest box that holds all of `mask`, empty ones if there is nothing."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0))
    return tuple(box)
