"""A model with the heads that others use, and the names of its axes."""

from __future__ import annotations

from typing import Any

from lungzoo.metrics.probabilities import named_outputs

AXES = {
    4: ("batch", "height", "width", "channels"),
    5: ("batch", "slices", "height", "width", "channels"),
}
"""Names of the axes of an input, by their number."""
INPUT = "image"
HEADS = ("mask", "label")


def with_heads(model: Any) -> Any:
    """Return a `keras.Model` that gives a dictionary of the heads "mask" and, if there is one, "label"."""
    import keras

    outputs = named_outputs(model.output)
    return keras.Model(model.input, {head: outputs[head] for head in HEADS if head in outputs}, name=model.name)


def input_spec(shape: tuple[int | None, ...]) -> Any:
    """Return what Keras exports a model for."""
    import keras

    return keras.InputSpec(shape=shape, dtype="float32", name=INPUT)
