"""Soft Dice plus cross-entropy."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses.bce import bce
from lungzoo.losses.dice import dice


@LOSSES.register("dice_ce")
def dice_ce(y_true: Any, y_pred: Any) -> Any:
    """Return mean of (1 - soft Dice) over the cases with a lesion + mean cross-entropy of all pixels.

    Dice is taken per case, as it is scored, so that a small lesion weighs as much as a large one. A case with an empty
    mask has no part in it: were silence there rewarded with a Dice of 1, training would end in silence everywhere.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: 0 or more, without bound.
    Empty masks: their false positives cost cross-entropy; with masks and predictions all empty the loss tends to 0.
    Source: Milletari et al. 2016, arXiv:1606.04797, eq. 3 without the squares; Isensee et al. 2018,
    arXiv:1809.10486, which adds the two.
    """
    return dice(y_true, y_pred) + bce(y_true, y_pred)
