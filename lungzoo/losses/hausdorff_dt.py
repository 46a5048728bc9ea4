"""Hausdorff loss by distance transforms: errors cost their distance from both borders."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lungzoo.losses import LOSSES
from lungzoo.losses._distance import signed_distance_px
from lungzoo.losses._regions import case_mean, foreground, mean_over_lesions


@LOSSES.register("hausdorff_dt")
def hausdorff_dt(y_true: Any, y_pred: Any, *, alpha: Annotated[float, Field(gt=0, le=4)] = 2.0) -> Any:
    """Return mean of (truth - probability)² × (d_true^alpha + d_predicted^alpha) over the cases with a lesion.

    Each d is a pixel's distance in pixels from a border: that of the truth, and that of the prediction cut at ½,
    through which no gradient passes. Values grow with the size of the image: set it beside a loss of regions, with a
    small weight.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).
        alpha: how much more far errors cost than near ones, in (0, 4].

    Range: [0, 2 × the image diagonal^alpha).
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient. A prediction without a border,
    empty or full, has distance 0.
    Source: Karimi and Salcudean 2020, arXiv:1904.10030, the loss based on distance transforms (Loss_DT).
    """
    from keras import ops

    truth, probability = foreground(y_true, y_pred)
    predicted = ops.cast(probability >= 0.5, "float32")
    distance = ops.abs(signed_distance_px(ops.concatenate([truth, predicted], -1)))
    true_cost, predicted_cost = ops.split(ops.power(distance, alpha), 2, -1)
    return mean_over_lesions(case_mean(ops.square(truth - probability) * (true_cost + predicted_cost)), truth)
