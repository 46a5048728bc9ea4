"""Soft Dice, smoothed by log cosh."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import foreground, mean_over_lesions, tversky_index


@LOSSES.register("log_cosh_dice")
def log_cosh_dice(y_true: Any, y_pred: Any) -> Any:
    """Return mean of log cosh (1 - soft Dice) over the cases with a lesion: about half the square of `dice`.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: [0, 0.434), since log cosh 1 = 0.4338.
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Jadon 2020, arXiv:2006.14822, Log-Cosh Dice Loss; taken per case.
    """
    from keras import ops

    truth, probability = foreground(y_true, y_pred)
    return mean_over_lesions(ops.log(ops.cosh(1 - tversky_index(truth, probability, 0.5, 0.5))), truth)
