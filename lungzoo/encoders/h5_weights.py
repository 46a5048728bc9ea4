"""Legacy Keras `.h5` weight files, read layer by layer by name, with nothing skipped in silence.

Keras's own reader pairs layers by position, which depends on how a version of Keras sorts a graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lungzoo.errors import WeightsUnavailable


def load_by_layer(model: Any, path: str | Path) -> None:
    """Give every layer of a flat model the weights stored under its name.

    Args:
        model: a `keras.Model` without nested models.
        path: an `.h5` file of weights, or of a model with weights.

    Raises:
        WeightsUnavailable: a layer is missing, on either side, or has other variables or shapes.
    """
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        stored = {
            _text(layer): {_text(name): np.asarray(root[_text(layer)][_text(name)]) for name in names}
            for layer in root.attrs["layer_names"]
            if len(names := root[_text(layer)].attrs["weight_names"])
        }
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    if set(stored) != set(layers):
        odd = sorted(set(stored) ^ set(layers))
        raise WeightsUnavailable(
            f"the weights in {path} are of another network: {len(odd)} layers differ, first '{odd[0]}'. "
            "Delete the file and fetch it again."
        )
    for name, layer in layers.items():
        found = [(key.rpartition("/")[2].partition(":")[0], array.shape) for key, array in stored[name].items()]
        wanted = [(weight.name, tuple(weight.shape)) for weight in layer.weights]
        if found != wanted:
            raise WeightsUnavailable(f"the weights in {path} do not fit layer '{name}': {found} instead of {wanted}.")
        layer.set_weights(list(stored[name].values()))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
