"""Focal cross-entropy."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import as_float32

_MASKED = -1e30


@LOSSES.register("focal")
def focal(
    y_true: Any,
    y_pred: Any,
    *,
    gamma: Annotated[float, Field(ge=0, le=10)] = 2.0,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.25,
) -> Any:
    """Return the mean of -a (1 - p)^gamma log p over all pixels of all cases, p the probability of the true class.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).
        gamma: how far easy pixels are played down, in [0, 10]; 0 is weighted cross-entropy.
        alpha: the weight a of lesion pixels, in (0, 1), of any class; background pixels have 1 - alpha.

    Range: 0 or more, without bound.
    Empty masks: count like any other; an empty case predicted empty tends to 0.
    Source: Lin et al. 2017, arXiv:1708.02002, eq. 5.
    """
    from keras import ops

    y_true, y_pred = as_float32(y_true, y_pred)
    if y_pred.shape[-1] == 1:
        lesion, margin = y_true, (2 * y_true - 1) * y_pred
    else:
        lesion, margin = 1 - y_true[..., :1], _margin(y_true, y_pred)
    weight = alpha * lesion + (1 - alpha) * (1 - lesion)
    # p = sigmoid(margin), so log p = -softplus(-margin) and log(1 - p) = -softplus(margin).
    return ops.mean(weight * ops.exp(-gamma * ops.softplus(margin)) * ops.softplus(-margin))


def _margin(y_true: Any, y_pred: Any) -> Any:
    """Return the true class's log-odds against all others, (B, …, 1)."""
    from keras import ops

    others = ops.where(y_true > 0.5, _MASKED, y_pred)
    return ops.sum(y_true * y_pred, -1, keepdims=True) - ops.logsumexp(others, -1, keepdims=True)
