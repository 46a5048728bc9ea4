"""What is minimised and watched: one loss per output of a model."""

from __future__ import annotations

from typing import Any

from keras import ops

from lungzoo.config import ExperimentConfig
from lungzoo.losses.combine import make_loss
from lungzoo.metrics.streaming import CaseDice


def objectives(model: Any, config: ExperimentConfig) -> dict[str, Any]:
    """Return the `loss`, `loss_weights` and `metrics` arguments of `model.compile`.

    Auxiliary masks weigh 2⁻ⁿ at level n, after Lee et al. 2015, arXiv:1409.5185, and Isensee et al. 2021,
    doi:10.1038/s41592-020-01008-z; the label head weighs `train.label_weight`.
    """
    train, score = config.train, config.score
    mask_loss, dice = make_loss(train.loss), CaseDice(score.threshold, score.min_lesion_px)
    if not isinstance(model.output, dict):
        return {"loss": mask_loss, "metrics": [dice]}
    losses = {name: label_cross_entropy if name == "label" else mask_loss for name in model.output}
    weights = {name: _weight(name, train.label_weight) for name in model.output}
    return {"loss": losses, "loss_weights": weights, "metrics": {"mask": [dice]}}


def targets(model: Any, mask: Any, label: Any) -> Any:
    """Return what each output of a model is compared with."""
    if not isinstance(model.output, dict):
        return mask
    return {name: label if name == "label" else mask for name in model.output}


def label_cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Return the mean cross-entropy of the cases that have a label, 0 where none has.

    Args:
        y_true: int (B, 1), number of the class; -1 where the case has none of the classes.
        y_pred: logits (B, classes).
    """
    y_true = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    known = ops.cast(y_true >= 0, "float32")
    log_probability = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
    chosen = ops.take_along_axis(log_probability, ops.maximum(y_true, 0)[:, None], axis=-1)[:, 0]
    return -ops.sum(chosen * known) / ops.maximum(ops.sum(known), 1.0)


def _weight(output: str, label_weight: float) -> float:
    if output == "mask":
        return 1.0
    return label_weight if output == "label" else 2.0 ** -int(output.removeprefix("aux_P"))
