"""Run a model over an evaluation set, one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """Images, references and predictions of n cases, in the order of the evaluation set.

    Args:
        images: uint8 (n, H, W), the model's input from [0, 1] to 0..255, for overlays.
        references: bool (n, H, W).
        masks: bool (n, H, W), probability at or above the threshold.
    """

    images: np.ndarray
    references: np.ndarray
    masks: np.ndarray


def predict(model: Any, batches: Any, threshold: float) -> Predictions:
    """Predict every case of an evaluation set.

    Args:
        model: gives logits (B, H, W, 1).
        batches: tf.data.Dataset of (image, mask), see `Pipeline.evaluation`.
        threshold: probability from which a pixel is lesion, in (0, 1).
    """
    cut = np.log(threshold / (1 - threshold))
    images, references, masks = [], [], []
    for image, mask in batches.as_numpy_iterator():
        logits = np.asarray(model.predict_on_batch(image))
        images.append(np.round(image[..., 0] * 255).astype(np.uint8))
        references.append(mask[..., 0] > 0)
        masks.append(logits[..., 0] >= cut)
    return Predictions(np.concatenate(images), np.concatenate(references), np.concatenate(masks))
