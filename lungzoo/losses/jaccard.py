"""Soft Jaccard, also called IoU."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import foreground, mean_over_lesions, tversky_index


@LOSSES.register("jaccard")
def jaccard(y_true: Any, y_pred: Any) -> Any:
    """Return mean of (1 - soft Jaccard) over the cases with a lesion.

    Jaccard = (I + ½) / (A + P - I + ½), from the soft areas of intersection, truth and prediction in pixels.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: [0, 1).
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Rahman and Wang 2016, Optimizing intersection-over-union in deep neural networks for image segmentation,
    ISVC, doi:10.1007/978-3-319-50835-1_22.
    """
    truth, probability = foreground(y_true, y_pred)
    return mean_over_lesions(1 - tversky_index(truth, probability, 1.0, 1.0), truth)
