"""Soft Dice."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import foreground, mean_over_lesions, tversky_index


@LOSSES.register("dice")
def dice(y_true: Any, y_pred: Any) -> Any:
    """Return mean of (1 - soft Dice) over the cases with a lesion.

    Dice = (2 I + 1) / (A + P + 1), from the soft areas of intersection, truth and prediction in pixels.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: [0, 1).
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Milletari et al. 2016, arXiv:1606.04797, eq. 3 without the squares.
    """
    truth, probability = foreground(y_true, y_pred)
    return mean_over_lesions(1 - tversky_index(truth, probability, 0.5, 0.5), truth)
