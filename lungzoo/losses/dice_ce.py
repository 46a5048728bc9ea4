"""Soft Dice plus binary cross-entropy."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES

_SMOOTH = 1.0


@LOSSES.register("dice_ce")
def dice_ce(y_true: Any, y_pred: Any) -> Any:
    """Return mean of (1 - soft Dice) over the cases with a lesion + mean binary cross-entropy of all, a scalar ≥ 0.

    Dice is taken per case, as it is scored, so that a small lesion weighs as much as a large one. A case with an empty
    mask has no part in it: were silence there rewarded with a Dice of 1, training would end in silence everywhere. Its
    false positives cost cross-entropy; with masks and predictions all empty the loss tends to 0.

    Args:
        y_true: (B, H, W, 1) in {0, 1}.
        y_pred: logits (B, H, W, 1).

    Source: Milletari et al. 2016, arXiv:1606.04797, eq. 3 without squares; Isensee et al. 2018, arXiv:1809.10486.
    """
    from keras import ops

    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    probability, axes = ops.sigmoid(y_pred), (1, 2, 3)
    area = ops.sum(y_true, axes)
    dice = (2 * ops.sum(y_true * probability, axes) + _SMOOTH) / (area + ops.sum(probability, axes) + _SMOOTH)
    lesion = ops.cast(area > 0, "float32")
    dice_loss = ops.sum((1 - dice) * lesion) / ops.maximum(ops.sum(lesion), 1.0)
    cross_entropy = ops.mean(ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred))))
    return dice_loss + cross_entropy
