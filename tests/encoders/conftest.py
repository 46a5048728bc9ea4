"""Helpers that the encoder tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest


def grey_batch(channels: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Two grey images, the same in every channel."""
    picture = np.random.default_rng(0).random((2, height, width, 1), "float32")
    return np.repeat(picture, channels, axis=-1)


def leaf_layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model and of the models inside it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from leaf_layers(layer)
        else:
            yield layer


def variable_paths(model: Any) -> list[str]:
    """Return layer/variable of every variable, as published weights name them."""
    return [f"{layer.name}/{variable.name}" for layer in leaf_layers(model) for variable in layer.weights]


@pytest.fixture(name="grey_batch")
def _grey_batch() -> Any:
    return grey_batch


@pytest.fixture(name="variable_paths")
def _variable_paths() -> Any:
    return variable_paths


@pytest.fixture(name="leaf_layers")
def _leaf_layers() -> Any:
    return leaf_layers
