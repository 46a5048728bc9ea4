"""What a run costs: parameters, multiply-adds, time and memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.data.pipeline import Pipeline
from lungzoo.errors import LungzooError
from lungzoo.tracking.environment import peak_memory_mb
from lungzoo.training.checkpoint import Progress


def whole_cost(model: Any, progress: Progress, pipeline: Pipeline, rows: np.ndarray) -> dict[str, float]:
    """Return all that `RunRecord.cost` names, but the size of the weights; `rows` gives the slice to time."""
    from lungzoo.evaluation.timing import inference_ms

    image = next(pipeline.evaluation(rows, 0, 0).take(1).as_numpy_iterator())[0]
    training = training_cost(model, progress)
    sizes = {key: training.pop(key) for key in ("params", "trainable_params")}
    return {
        **sizes,
        "gmacs": _gmacs(model, image.shape[1:]),
        "inference_ms": round(inference_ms(model, image), 3),
        **training,
        "peak_memory_mb": round(peak_memory_mb(), 1),
    }


def training_cost(model: Any, progress: Progress) -> dict[str, float]:
    """Return the sizes of a model and the time of its training."""
    epochs = [row["seconds"] for row in progress.history]
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return {
        "params": model.count_params(),
        "trainable_params": trainable,
        "train_seconds": round(progress.seconds, 3),
        "seconds_per_epoch": round(float(np.median(epochs)), 3),
    }


def _gmacs(model: Any, shape: tuple[int, ...]) -> float:
    """Return the multiply-adds of a slice in 10⁹; NaN where they cannot be counted, as without TensorFlow."""
    from lungzoo.encoders.cost import count_macs

    try:
        return round(count_macs(model, shape) / 1e9, 4)
    except LungzooError:
        return float("nan")
