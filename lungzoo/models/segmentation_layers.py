"""Layers that stand in for the unnamed functions inside the networks of segmentation_models, which do not reload."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("lungzoo")
class ChannelSlice(keras.layers.Layer):
    """Take the channels from `start` up to `stop`: one group of a grouped convolution."""

    def __init__(self, start: int, stop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.stop = stop

    def call(self, x: Any) -> Any:
        """(B, H, W, C) -> (B, H, W, stop - start)."""
        return x[..., self.start : self.stop]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The channels change alone."""
        return (*shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("lungzoo")
class ScaledSum(keras.layers.Layer):
    """Add a residual branch, multiplied by a constant."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        """[(B, H, W, C), (B, H, W, C)] -> (B, H, W, C)."""
        trunk, branch = inputs
        return trunk + self.scale * branch

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """That of the trunk."""
        return tuple(shapes[0])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "scale": self.scale}
