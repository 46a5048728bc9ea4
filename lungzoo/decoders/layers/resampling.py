"""Layers that change height and width by fixed weights; they train under XLA and mixed precision on every backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("lungzoo")
class NearestUpsampling(keras.layers.UpSampling2D):
    """Repeat pixels, as UpSampling2D does, and keep the sides known where those of the input are.

    TensorFlow forgets them, and LiteRT's converter refuses maps that are doubled twice in a row.
    """

    def call(self, x: Any) -> Any:
        """(B, H, W, C) -> (B, size[0]·H, size[1]·W, C)."""
        _, height, width, channels = ops.shape(x)
        return ops.reshape(super().call(x), (-1, height * self.size[0], width * self.size[1], channels))


@keras.saving.register_keras_serializable("lungzoo")
class BilinearUpsampling(keras.layers.Layer):
    """Multiply height and width by a whole `factor`, exactly as bilinear resizing does.

    Pixel centres lie at half-integers, and beyond the border the outermost pixel is repeated: what
    `tf.image.resize(…, "bilinear")` computes, put together from shifted copies, so that its gradient is too.
    """

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        """(B, H, W, C) -> (B, factor·H, factor·W, C)."""
        _, height, width, channels = ops.shape(x)
        rows = ops.concatenate([x[:, :1], x[:, :-1]], axis=1), x, ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        x = ops.reshape(self._phases(*rows, axis=2), (-1, height * self.factor, width, channels))
        columns = (
            ops.concatenate([x[:, :, :1], x[:, :, :-1]], axis=2),
            x,
            ops.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2),
        )
        x = self._phases(*columns, axis=3)
        return ops.reshape(x, (-1, height * self.factor, width * self.factor, channels))

    def _phases(self, before: Any, here: Any, after: Any, axis: int) -> Any:
        """Stack the `factor` new pixels that stand in the place of each old one."""
        phases = []
        for number in range(self.factor):
            offset = (number + 0.5) / self.factor - 0.5
            share, other = abs(offset), before if offset < 0 else after
            phases.append((1 - share) * here + share * other if share else here)
        return ops.stack(phases, axis=axis)

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Known sides grow by the factor."""
        batch, *sides, channels = shape
        return (batch, *(None if side is None else side * self.factor for side in sides), channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("lungzoo")
class AdaptiveAveragePooling(keras.layers.Layer):
    """Average over a grid of `bins` × `bins` cells that covers a map of any size.

    Cell i of n pixels reaches from ⌊i·n/bins⌋ to ⌈(i+1)·n/bins⌉, so cells overlap by a pixel where the size does not
    divide, and repeat pixels where there are fewer pixels than bins: the convention of PyTorch's AdaptiveAvgPool2d.
    """

    def __init__(self, bins: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = bins

    def call(self, x: Any) -> Any:
        """(B, H, W, C) -> (B, bins, bins, C)."""
        if self.bins == 1:  # one axis after the other keeps 16-bit sums small
            return ops.mean(ops.mean(x, axis=1, keepdims=True), axis=2, keepdims=True)
        _, height, width, _ = ops.shape(x)
        return _resample(x, self._weights(height), self._weights(width))

    def _weights(self, size: Any) -> Any:
        """Return the (bins, size) matrix whose rows average."""
        place = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
        cell = ops.expand_dims(ops.arange(self.bins, dtype="int32"), 1)
        # Rounded up without a negative quotient, which tf2onnx would round towards zero.
        start, stop = cell * size // self.bins, ((cell + 1) * size + self.bins - 1) // self.bins
        inside = ops.cast(ops.logical_and(place >= start, place < stop), "float32")
        return inside / ops.cast(stop - start, "float32")

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Both sides become `bins`."""
        return (shape[0], self.bins, self.bins, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "bins": self.bins}


@keras.saving.register_keras_serializable("lungzoo")
class ResizeLike(keras.layers.Layer):
    """Resize the first input to the height and width of the second, bilinearly, with repeated border pixels."""

    def call(self, inputs: Any) -> Any:
        """[(B, h, w, C), (B, H, W, D)] -> (B, H, W, C)."""
        x, like = inputs
        (_, height, width, _), (_, new_height, new_width, _) = ops.shape(x), ops.shape(like)
        return _resample(x, self._weights(height, new_height), self._weights(width, new_width))

    def _weights(self, old: Any, new: Any) -> Any:
        """Return the (new, old) matrix that interpolates."""
        old_places, new_places = (ops.cast(ops.arange(size, dtype="int32"), "float32") for size in (old, new))
        old_size, new_size = ops.cast(old, "float32"), ops.cast(new, "float32")
        centres = ops.clip((new_places + 0.5) * old_size / new_size - 0.5, 0.0, old_size - 1)
        return ops.relu(1 - ops.abs(ops.expand_dims(centres, 1) - ops.expand_dims(old_places, 0)))

    def compute_output_shape(self, shapes: Any) -> Shape:
        """Sides of the second input, channels of the first."""
        x, like = shapes
        return (x[0], like[1], like[2], x[3])


def _resample(x: Any, rows: Any, columns: Any) -> Any:
    rows, columns = ops.cast(rows, x.dtype), ops.cast(columns, x.dtype)
    # The map comes first: with the matrix first, LiteRT's converter loses the shape of what comes out.
    return ops.einsum("buwc,vw->buvc", ops.einsum("bhwc,uh->buwc", x, rows), columns)
