"""Which layers of an encoder belong to which level, and what a stage does to them."""

from __future__ import annotations

from typing import Any

from lungzoo.models.transfer import Stage


def encoder_groups(encoder: Any) -> list[list[Any]]:
    """Return the encoder's leaf layers by level, deepest level first.

    A layer belongs to the shallowest level that needs it, so the last group holds the stem.
    """
    groups: list[list[Any]] = []
    known: set[int] = set()
    for level in sorted(encoder.output):
        group = [layer for layer in _needed(encoder, level) if id(layer) not in known]
        known |= {id(layer) for layer in group}
        groups.append(group)
    return groups[::-1]


def apply_stage(model: Any, stage: Stage) -> dict[int, float]:
    """Freeze and unfreeze the layers of a model's encoder as a stage says; frozen ones drop nothing either.

    Returns:
        Factor of the learning rate by `id` of the variable, for those whose factor is not 1.
    """
    encoder = model.get_layer("encoder")
    encoder.trainable = stage.encoder_levels != 0
    factors: dict[int, float] = {}
    for number, group in enumerate(encoder_groups(encoder)):
        trains = stage.encoder_levels is None or number < stage.encoder_levels
        for layer in group:
            layer.trainable = trains
            _drop(layer, trains)
            if stage.decay != 1:
                factors |= {id(variable): stage.decay ** (number + 1) for variable in layer.trainable_variables}
    return factors


def _drop(layer: Any, trains: bool) -> None:
    """Let a layer drop its input only while it belongs to what trains; frozen features are the same in every step."""
    import keras

    if isinstance(layer, keras.layers.Dropout):
        if not hasattr(layer, "own_rate"):
            layer.own_rate = layer.rate
        layer.rate = layer.own_rate if trains else 0.0


def _needed(model: Any, level: str) -> list[Any]:
    """Leaf layers between the input of a functional model and one of its levels, nested models opened."""
    import keras

    leaves: list[Any] = []
    for layer in keras.Model(model.input, model.output[level]).layers:
        if isinstance(layer, keras.Model):
            nested_levels = isinstance(layer.output, dict) and level in layer.output
            leaves += _needed(layer, level) if nested_levels else layer._flatten_layers(include_self=False)
        else:
            leaves.append(layer)
    return leaves
