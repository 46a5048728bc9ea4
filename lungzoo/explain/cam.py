"""Class activation maps weighted by gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lungzoo.explain.contract import HeatMap, Subject, one_flat_model
from lungzoo.explain.features import CutModel, Score, check_backend, checked_level
from lungzoo.explain.shown import Shown
from lungzoo.inference.predictor import Predictor

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Features and gradients, (h, w, channels), -> (h, w)."""


def activation_map(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the positive part of the features' sum, each channel weighted by its mean gradient.

    Args:
        features, gradient: float (h, w, channels).

    Returns:
        float32 (h, w), at least 0.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """
    weights = gradient.mean(axis=(0, 1), dtype=np.float64)
    return np.maximum(features @ weights, 0).astype(np.float32)


def local_map(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the positive part of the features' sum, each value weighted by its own gradient; see `activation_map`.

    Source: Draelos and Carin 2020, arXiv:2011.08891.
    """
    return np.maximum((features * gradient).sum(axis=-1, dtype=np.float64), 0).astype(np.float32)


def enlarge(values: np.ndarray, shape_yx: tuple[int, int], stride: int) -> np.ndarray:
    """Bring a level's map to the pixels of the image, linear between the middles of its cells, padding cut off.

    Args:
        values: (h, w).
        shape_yx: of the image.
        stride: pixels of a cell along each axis.
    """
    from scipy.ndimage import map_coordinates

    places = [(np.arange(side) + 0.5) / stride - 0.5 for side in shape_yx]
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(map_coordinates(values.astype(np.float64), grid, order=1, mode="nearest"), np.float32)


def cam(
    model: Any, level: str, image: np.ndarray, score: Score, combine: Combine = activation_map
) -> tuple[np.ndarray, str]:
    """Return the map of a score at a level in the pixels of the image, (H, W), and the level's name."""
    cut = CutModel(model, level)
    features, gradient = cut.gradient(image, score)
    stride = 2 ** int(cut.level[1:])  # Pn is 2ⁿ times smaller than the image
    return enlarge(combine(features, gradient), image.shape[1:3], stride), cut.level


def cam_of(
    subject: Subject, shown: Shown, level: str, score: Score, details: str, combine: Combine = activation_map
) -> HeatMap:
    """Return the map of a score on the scan's own grid."""
    values, level = cam(subject.predictor.model, level, shown.image, score, combine)
    if not values.any():
        subject.passes.tell(f"At level {level} nothing speaks for the answer: the map is empty.")
    return HeatMap(shown.back(values), "evidence for the answer [arbitrary units]", f"{details}, level {level}")


def check_cam(predictors: Sequence[Predictor], level: str, method: str) -> Predictor:
    """Return the only model.

    Raises:
        UsageError: there are several, or it is a 3D model, or Keras runs on a backend without gradients here.
        UnknownNameError: it has no such level.
    """
    predictor = one_flat_model(predictors, method)
    check_backend()
    checked_level(predictor.model, level)
    return predictor
