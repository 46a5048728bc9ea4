"""Attention that needs to know how many places a map has."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lungzoo")
class PositionAttention(keras.layers.Layer):
    """Give each place the mean of the values of all places, weighted by how well keys match its query.

    Products are divided by the square root of their channels, and the softmax is taken in float32, so that 16-bit
    training stays finite. Memory grows with (H·W)²: meant for the deepest level.
    """

    def call(self, inputs: Any) -> Any:
        """[query (B, H, W, K), key (B, H, W, K), value (B, H, W, C)] -> (B, H, W, C)."""
        query, key, value = inputs
        _, height, width, channels = ops.shape(value)
        query, key, value = (ops.reshape(x, (-1, height * width, x.shape[-1])) for x in (query, key, value))
        match = ops.matmul(query / math.sqrt(query.shape[-1]), ops.transpose(key, (0, 2, 1)))
        match = ops.cast(match, "float32")
        weights = ops.exp(match - ops.logsumexp(match, axis=-1, keepdims=True))
        return ops.reshape(ops.matmul(ops.cast(weights, value.dtype), value), (-1, height, width, channels))

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """Shape of the value."""
        return tuple(shapes[2])
