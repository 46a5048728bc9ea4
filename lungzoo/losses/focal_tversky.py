"""Tversky with more weight on badly found lesions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import foreground, mean_over_lesions, tversky_index

# The slope of x^(1/gamma) has no bound near 0.
_SMALLEST = 1e-6


@LOSSES.register("focal_tversky")
def focal_tversky(
    y_true: Any,
    y_pred: Any,
    *,
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.3,
    beta: Annotated[float, Field(gt=0, le=1)] = 0.7,
    gamma: Annotated[float, Field(ge=1, le=3)] = 4 / 3,
) -> Any:
    """Return mean of (1 - soft Tversky index)^(1/gamma) over the cases with a lesion.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).
        alpha: price of false-positive pixels, in (0, 1]. (The paper calls this beta, and the next alpha.)
        beta: price of false-negative pixels, in (0, 1].
        gamma: in [1, 3]; 1 is `tversky`, and more keeps the slope steep while a lesion is nearly found.

    Range: (0, 1); a perfect answer costs 1e-6^(1/gamma), without gradient.
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Abraham and Khan 2018, arXiv:1810.07842, the focal Tversky loss (FTL).
    """
    from keras import ops

    truth, probability = foreground(y_true, y_pred)
    shortfall = ops.maximum(1 - tversky_index(truth, probability, alpha, beta), _SMALLEST)
    return mean_over_lesions(ops.power(shortfall, 1 / gamma), truth)
