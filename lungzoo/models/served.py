"""A model with trained weights, as MLflow loads and serves it.

MLflow keeps the name of this module and the folder of the weights, nothing else: no pickle, no code. So whoever loads
the model needs lungzoo, and gets what `lungzoo.load` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.config import ModelConfig
from lungzoo.errors import UsageError
from lungzoo.models.load import load
from lungzoo.models.zoo import MODELS

LOADER = __name__

_SLACK = 1e-3


class ServedModel:
    """Predicts batches.

    Args:
        folder: of weights and manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.model = load(folder)

    def predict(self, batch: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray | dict[str, np.ndarray]:
        """Return logits: an array like the batch, or where the model has a label head {"mask": …, "label": …}.

        Args:
            batch: float32 (B, H, W, C) in [0, 1], of a 3D model (B, D, H, W, C).
            params: ignored; MLflow passes them.

        Raises:
            UsageError: the batch is empty, or its values are not scaled to [0, 1].
        """
        batch = np.asarray(batch, np.float32)
        _check(batch)
        answer = self.model.predict_on_batch(batch)
        if not isinstance(answer, dict):
            return np.asarray(answer)
        heads = {name: np.asarray(answer[name]) for name in ("mask", "label") if name in answer}
        return heads if len(heads) > 1 else heads["mask"]


def shapes_of(config: ModelConfig) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Return the shapes of a model's batches and of its answers by name, -1 where any size goes."""
    volume = MODELS.get(config.name).dims == 3
    any_size = (-1,) * (4 if volume else 3)
    channels = config.in_channels * (1 if volume else config.in_slices)
    answers = {"mask": (*any_size, config.classes)}
    if config.labels:
        answers["label"] = (-1, len(config.labels))
    return (*any_size, channels), answers


def load_served(path: str) -> ServedModel:
    """Return the model in a folder; `tracking.mlflow_served` calls it by this name."""
    return ServedModel(Path(path))


def _load_pyfunc(path: str) -> ServedModel:
    """Return the model in a folder; of models that were registered before, MLflow calls this."""
    return load_served(path)


def _check(batch: np.ndarray) -> None:
    """Refuse what would be answered with nonsense: HU, 8-bit grey, values that are missing."""
    if not batch.size:
        raise UsageError(f"There is nothing to predict: the batch has the shape {batch.shape}. Send slices in [0, 1].")
    low, high = float(batch.min()), float(batch.max())
    if np.isnan(low) or np.isnan(high):
        raise UsageError("Some values are missing (null or NaN). Send slices in [0, 1].")
    if low < -_SLACK or high > 1 + _SLACK:
        kind = "8-bit grey, to be divided by 255" if low >= 0 and high <= 255 else "HU"
        raise UsageError(
            f"Slices must be scaled to [0, 1], as 'protocol' in the manifest of the weights says. Received: {low:g} to "
            f"{high:g}, which looks like {kind}."
        )
