"""Boundary loss: errors cost their distance from the true border."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._distance import signed_distance_px
from lungzoo.losses._regions import case_mean, foreground, mean_over_lesions


@LOSSES.register("boundary")
def boundary(y_true: Any, y_pred: Any) -> Any:
    """Return mean of (probability - truth) × signed distance from the true border, over the cases with a lesion.

    It says little about a small lesion that is missed altogether: set it beside a loss of regions, as the paper does.
    The paper drops the part with the truth, which has no gradient; with it, a perfect answer costs 0.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: [0, the mean distance of a case's pixels from the border, in pixels].
    Empty masks: have no part in it, nor have full ones, which have no border; if all are empty the loss is 0, without
    gradient.
    Source: Kervadec et al. 2019, arXiv:1812.07032, the boundary loss L_B, as a mean over pixels.
    """
    truth, probability = foreground(y_true, y_pred)
    return mean_over_lesions(case_mean((probability - truth) * signed_distance_px(truth)), truth)
