"""A convolution of enlarged features that is computed before they grow."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lungzoo")
class GrowingConv2D(keras.layers.Layer):
    """3×3 convolution, without bias, of [nearest-neighbour enlargement of the input by two, skip connection].

    Repeating pixels and then convolving them with 3×3 weights is one transposed convolution of stride 2 whose 4×4
    kernel is the sum of the four shifted copies of the 3×3 one: 4 instead of 9 multiplications for each new pixel and
    pair of channels, and no enlarged copy in memory. Weights and, up to rounding, values are those of UpSampling2D,
    Concatenate and Conv2D. It pays where the input is large and narrow; at deep, wide levels it does not.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels

    def build(self, shape: Any) -> None:
        """Make the kernel, (3, 3, input channels + skip channels, channels)."""
        shapes = shape if isinstance(shape[0], (list, tuple)) else [shape]
        self.kernel = self.add_weight(
            (3, 3, sum(one[-1] for one in shapes), self.channels), keras.initializers.HeNormal(), name="kernel"
        )

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C), or a list of it and a skip connection (B, 2H, 2W, D) -> (B, 2H, 2W, channels)."""
        x, *skips = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        grown = self.kernel[:, :, : x.shape[-1]]
        mirrored = ops.transpose(ops.flip(grown, (0, 1)), (0, 1, 3, 2))
        shifts = ([0, 1], [1, 0])
        spread = sum(ops.pad(mirrored, [rows, columns, [0, 0], [0, 0]]) for rows in shifts for columns in shifts)
        y = ops.conv_transpose(x, spread, strides=2, padding="same")
        for skip in skips:
            y = y + ops.conv(skip, self.kernel[:, :, x.shape[-1] :], padding="same")
        return y

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        """Known sides double."""
        batch, *sides, _ = shape[0] if isinstance(shape[0], (list, tuple)) else shape
        return (batch, *(None if side is None else 2 * side for side in sides), self.channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "channels": self.channels}
