"""Binary cross-entropy; categorical with several classes."""

from __future__ import annotations

from typing import Any

from lungzoo.losses import LOSSES
from lungzoo.losses._regions import as_float32


@LOSSES.register("bce")
def bce(y_true: Any, y_pred: Any) -> Any:
    """Return the mean cross-entropy of all pixels of all cases: binary with one class, else categorical.

    Args:
        y_true: (B, …, C) in {0, 1}; one-hot if C > 1.
        y_pred: logits (B, …, C).

    Range: 0 or more, without bound.
    Empty masks: count like any other; an empty case predicted empty tends to 0.
    Source: Bishop 2006, Pattern Recognition and Machine Learning, eqs. 4.90 and 4.108.
    """
    from keras import ops

    y_true, y_pred = as_float32(y_true, y_pred)
    if y_pred.shape[-1] == 1:
        return ops.mean(ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred))))
    return -ops.mean(ops.sum(y_true * ops.log_softmax(y_pred), -1))
