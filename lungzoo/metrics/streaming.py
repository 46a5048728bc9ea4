"""Keras metrics that run along with training and validation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lungzoo")
class CaseDice(keras.metrics.Metric):
    """Mean over cases of the Dice of the thresholded prediction, for cases with a lesion.

    The Keras counterpart of `lungzoo.metrics.overlap`: cases with fewer than `min_lesion_px` reference pixels do not
    count, an empty prediction on a case with a lesion counts 0, and the result is 0 where no case counted.

    Args:
        threshold: probability from which a pixel is lesion.
        min_lesion_px: smallest reference area of a case that counts, in pixels.
        name: name in the logs.
    """

    def __init__(self, threshold: float = 0.5, min_lesion_px: int = 1, name: str = "dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        self.min_lesion_px = min_lesion_px
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: `y_true` (B, H, W, 1) in {0, 1}, `y_pred` logits alike; of volumes, the middle slice."""
        if len(y_true.shape) == 5:
            middle = y_true.shape[1] // 2
            y_true, y_pred = y_true[:, middle], y_pred[:, middle]
        axes = (1, 2, 3)
        truth = ops.cast(y_true, "float32")
        predicted = ops.cast(ops.sigmoid(ops.cast(y_pred, "float32")) >= self.threshold, "float32")
        area = ops.sum(truth, axes)
        dice = 2 * ops.sum(truth * predicted, axes) / ops.maximum(area + ops.sum(predicted, axes), 1.0)
        counted = ops.cast(area >= self.min_lesion_px, "float32")
        self.total.assign_add(ops.sum(dice * counted))
        self.count.assign_add(ops.sum(counted))

    def result(self) -> Any:
        """Return the mean so far, a scalar in [0, 1]."""
        return self.total / ops.maximum(self.count, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this metric."""
        return {**super().get_config(), "threshold": self.threshold, "min_lesion_px": self.min_lesion_px}
