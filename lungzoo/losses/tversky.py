"""Tversky: Dice with a price for each kind of error."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import foreground, mean_over_lesions, tversky_index


@LOSSES.register("tversky")
def tversky(
    y_true: Any,
    y_pred: Any,
    *,
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.3,
    beta: Annotated[float, Field(gt=0, le=1)] = 0.7,
) -> Any:
    """Return mean of (1 - soft Tversky index) over the cases with a lesion; beta > alpha favours finding lesions.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).
        alpha: price of false-positive pixels, in (0, 1].
        beta: price of false-negative pixels, in (0, 1]; alpha = beta = ½ is `dice`, 1 is `jaccard`.

    Range: [0, 1).
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Salehi et al. 2017, arXiv:1706.05721, the Tversky index of soft counts.
    """
    truth, probability = foreground(y_true, y_pred)
    return mean_over_lesions(1 - tversky_index(truth, probability, alpha, beta), truth)
