"""Soft Dice plus binary cross-entropy."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES

_SMOOTH = 1.0


@LOSSES.register("dice_ce")
def dice_ce(y_true: Any, y_pred: Any) -> Any:
    """Return mean over cases of (1 - soft Dice) + mean binary cross-entropy, a scalar ≥ 0.

    Dice is taken per case, as it is scored, so that a small lesion weighs as much as a large one. One pixel is added to
    numerator and denominator: with masks and predictions both empty a case's Dice is 1 and the loss tends to 0.

    Args:
        y_true: (B, H, W, 1) in {0, 1}.
        y_pred: logits (B, H, W, 1).

    Source: Milletari et al. 2016, arXiv:1606.04797, eq. 3 without squares; Isensee et al. 2018, arXiv:1809.10486.
    """
    from keras import ops

    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    probability, axes = ops.sigmoid(y_pred), (1, 2, 3)
    overlap = ops.sum(y_true * probability, axes)
    dice = (2 * overlap + _SMOOTH) / (ops.sum(y_true, axes) + ops.sum(probability, axes) + _SMOOTH)
    cross_entropy = ops.mean(ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred))))
    return 1 - ops.mean(dice) + cross_entropy
