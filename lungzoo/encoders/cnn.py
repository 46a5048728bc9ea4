"""A plain convolutional encoder for the from-scratch baseline."""

from __future__ import annotations

from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec


def _cnn(rgb: Any, levels: tuple[str, ...], weights: str | None, width: int) -> dict[str, Any]:
    """Five levels of stride-2 convolution and convolution, each with BatchNorm and ReLU; width doubles per level."""
    from keras import layers

    pyramid, x = {}, layers.Rescaling(2.0, offset=-1.0, name="scale_input")(rgb)
    for number, level in enumerate(levels):
        channels = min(width * 2**number, 16 * width)
        for step, strides in enumerate((2, 1)):
            name = f"{level}_{step}"
            x = layers.Conv2D(
                channels, 3, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
            )(x)
            x = layers.BatchNormalization(name=f"{name}_norm")(x)
            x = layers.Activation("relu", name=f"{name}_relu")(x)
        pyramid[level] = x
    return pyramid


ENCODERS.add(
    "cnn",
    EncoderSpec(
        name="cnn",
        backbone=_cnn,
        weights=(),
        scaling="[0, 1] to [-1, 1]",
        paper="Ronneberger et al. 2015, arXiv:1505.04597 (contracting path, strided convolutions for pooling)",
        licence="Apache-2.0",
        options={"width": 16},
    ),
)
