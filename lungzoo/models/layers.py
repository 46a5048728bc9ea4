"""Layers that let a model take any height and width."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lungzoo")
class PadToStride(keras.layers.Layer):
    """Pad height and width with zeros, below and to the right, to multiples of `stride`."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, image: Any) -> Any:
        """(B, H, W, C) -> (B, ⌈H/stride⌉·stride, ⌈W/stride⌉·stride, C)."""
        shape = ops.shape(image)
        return ops.pad(image, [[0, 0], [0, -shape[1] % self.stride], [0, -shape[2] % self.stride], [0, 0]])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Round known sides up to the stride."""
        batch, *sides, channels = shape
        return (batch, *(None if side is None else side + -side % self.stride for side in sides), channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("lungzoo")
class CropLike(keras.layers.Layer):
    """Crop the first input to the height and width of the second: undoes `PadToStride`."""

    def call(self, inputs: Any) -> Any:
        """[(B, H', W', C), (B, H, W, D)] -> (B, H, W, C)."""
        padded, image = inputs
        shape = ops.shape(image)
        return padded[:, : shape[1], : shape[2], :]

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """Sides of the second input, channels of the first."""
        padded, image = shapes
        return (padded[0], image[1], image[2], padded[3])
