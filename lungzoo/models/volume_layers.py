"""Layers of transformers on volumes of any size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("lungzoo")
class PositionEmbedding(keras.layers.Layer):
    """Add a learned vector per place of a `grid`; on another grid they are interpolated linearly along each axis.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.2, for the interpolation.
    """

    def __init__(self, grid: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, shape: Shape) -> None:
        """Make the table."""
        self.table = self.add_weight(
            shape=(*self.grid, shape[-1]), initializer=keras.initializers.TruncatedNormal(stddev=0.02), name="table"
        )

    def call(self, patches: Any) -> Any:
        """(B, z, y, x, C) -> (B, z, y, x, C)."""
        _, *sides, _ = ops.shape(patches)
        table = ops.convert_to_tensor(self.table)
        for axis, (old, new) in enumerate(zip(self.grid, sides, strict=True)):
            weights = ops.cast(_interpolation(old, new), table.dtype)
            table = ops.moveaxis(ops.tensordot(weights, table, axes=[[1], [axis]]), 0, axis)
        return patches + table

    def compute_output_shape(self, shape: Shape) -> Shape:
        """That of the patches."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "grid": self.grid}


@keras.saving.register_keras_serializable("lungzoo")
class TokensToGrid(keras.layers.Layer):
    """Fold a sequence of tokens back into the grid that it was flattened from."""

    def call(self, inputs: Any) -> Any:
        """[(B, z·y·x, C), (B, z, y, x, D)] -> (B, z, y, x, C)."""
        tokens, grid = inputs
        return ops.reshape(tokens, (*ops.shape(grid)[:-1], tokens.shape[-1]))

    def compute_output_shape(self, shapes: Any) -> Shape:
        """Sides of the second input, channels of the first."""
        tokens, grid = shapes
        return (*grid[:-1], tokens[-1])


def _interpolation(old: int, new: Any) -> Any:
    """Return the (new, old) matrix of linear interpolation between centres; the identity for equal sizes."""
    places = ops.cast(ops.arange(new, dtype="int32"), "float32")
    centres = ops.clip((places + 0.5) * (old / ops.cast(new, "float32")) - 0.5, 0.0, old - 1.0)
    return ops.relu(1 - ops.abs(ops.expand_dims(centres, 1) - ops.arange(old, dtype="float32")))
