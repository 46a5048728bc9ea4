"""Lovász hinge and Lovász softmax: the Jaccard index made convex."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import as_float32, case_sum, mean_over_lesions


@LOSSES.register("lovasz")
def lovasz(y_true: Any, y_pred: Any) -> Any:
    """Return mean of the Jaccard loss's Lovász extension over the cases with a lesion.

    With one class it is taken of hinge errors of the logits, max(0, 1 - logit) on the lesion and max(0, 1 + logit)
    elsewhere; with several classes, of the errors |truth - probability| of each foreground class.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: 0 or more, without bound, with one class; [0, 1] with several.
    Empty masks: have no part in it; if all are empty the loss is 0, without gradient.
    Source: Berman et al. 2018, arXiv:1705.08790, Lovász hinge and Lovász-Softmax, per image.
    """
    from keras import ops

    y_true, y_pred = as_float32(y_true, y_pred)
    if y_pred.shape[-1] == 1:
        truth, errors = y_true, ops.relu(1 - (2 * y_true - 1) * y_pred)
    else:
        truth = y_true[..., 1:]
        errors = ops.abs(truth - ops.softmax(y_pred)[..., 1:])
    return mean_over_lesions(case_sum(errors * _jaccard_steps(truth, errors)), truth)


def _jaccard_steps(truth: Any, errors: Any) -> Any:
    """Return what each pixel adds to the Jaccard loss when pixels go wrong in the order of their errors, (B, …, F)."""
    from keras import ops

    shape = ops.shape(errors)
    pixels_last = [ops.swapaxes(ops.reshape(values, (shape[0], -1, shape[-1])), 1, 2) for values in (truth, errors)]
    truth, errors = (ops.stop_gradient(values) for values in pixels_last)
    worst_first = ops.argsort(-errors)
    ordered = ops.take_along_axis(truth, worst_first, -1)
    area = ops.sum(truth, -1, keepdims=True)
    loss = 1 - (area - ops.cumsum(ordered, -1)) / (area + ops.cumsum(1 - ordered, -1))
    steps = ops.concatenate([loss[..., :1], loss[..., 1:] - loss[..., :-1]], -1)
    steps = ops.take_along_axis(steps, ops.argsort(worst_first), -1)
    return ops.reshape(ops.swapaxes(steps, 1, 2), shape)
