"""Layers that let a model take any height and width."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lungzoo")
class PadToStride(keras.layers.Layer):
    """Pad each spatial axis with zeros at its end, to a multiple of `strides`."""

    def __init__(self, strides: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = tuple(strides)

    def call(self, image: Any) -> Any:
        """(B, H, W, C) -> (B, ⌈H/s⌉·s, ⌈W/s⌉·s, C); likewise with three spatial axes."""
        shape = ops.shape(image)
        # Nothing negative is divided: tf2onnx rounds such quotients towards zero.
        ends = [[0, (s - side % s) % s] for side, s in zip(shape[1:-1], self.strides, strict=True)]
        return ops.pad(image, [[0, 0], *ends, [0, 0]])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Round known sides up to the stride."""
        batch, *sides, channels = shape
        padded = [None if side is None else side + -side % s for side, s in zip(sides, self.strides, strict=True)]
        return (batch, *padded, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "strides": self.strides}


@keras.saving.register_keras_serializable("lungzoo")
class CropLike(keras.layers.Layer):
    """Crop the first input to the spatial axes of the second: undoes `PadToStride`."""

    def call(self, inputs: Any) -> Any:
        """[(B, H', W', C), (B, H, W, D)] -> (B, H, W, C); likewise with three spatial axes."""
        padded, image = inputs
        return padded[(slice(None), *(slice(side) for side in ops.shape(image)[1:-1]))]

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """Sides of the second input, channels of the first."""
        padded, image = shapes
        return (padded[0], *image[1:-1], padded[-1])
