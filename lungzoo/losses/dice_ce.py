"""Soft Dice plus binary cross-entropy."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES

_SMOOTH = 1.0


@LOSSES.register("dice_ce")
def dice_ce(y_true: Any, y_pred: Any) -> Any:
    """Return (1 - soft Dice of the batch) + mean binary cross-entropy, a scalar ≥ 0.

    Dice is taken over all pixels of the batch together, so that slices without a lesion do not make it jump. With
    masks and predictions both empty it is 1 and the loss tends to 0.

    Args:
        y_true: (B, H, W, 1) in {0, 1}.
        y_pred: logits (B, H, W, 1).

    Source: Milletari et al. 2016, arXiv:1606.04797, eq. 3 without squares; Isensee et al. 2018, arXiv:1809.10486.
    """
    from keras import ops

    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    probability = ops.sigmoid(y_pred)
    overlap = ops.sum(y_true * probability)
    dice = (2 * overlap + _SMOOTH) / (ops.sum(y_true) + ops.sum(probability) + _SMOOTH)
    cross_entropy = ops.mean(ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred))))
    return 1 - dice + cross_entropy
