"""Convolutional encoders for baselines that are trained from scratch: a plain one and a residual one."""

from __future__ import annotations

from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import TO_PLUS_MINUS_ONE, scaled

_MAX_GROWTH = 16


def _cnn(rgb: Any, levels: tuple[str, ...], weights: str | None, width: int) -> dict[str, Any]:
    """Five levels of stride-2 convolution and convolution, each with BatchNorm and ReLU; width doubles per level."""
    pyramid, x = {}, scaled(rgb)
    for number, level in enumerate(levels):
        channels = width * min(2**number, _MAX_GROWTH)
        for step, strides in enumerate((2, 1)):
            x = _relu(_conv(x, f"{level}_{step}", channels, strides), f"{level}_{step}")
        pyramid[level] = x
    return pyramid


def _cnn_residual(rgb: Any, levels: tuple[str, ...], weights: str | None, width: int, blocks: int) -> dict[str, Any]:
    """Five levels of stride-2 convolution and residual blocks of two convolutions; width doubles per level."""
    from keras import layers

    pyramid, x = {}, scaled(rgb)
    for number, level in enumerate(levels):
        channels = width * min(2**number, _MAX_GROWTH)
        x = _relu(_conv(x, f"{level}_down", channels, strides=2), f"{level}_down")
        for block in range(blocks):
            name = f"{level}_{block}"
            y = _relu(_conv(x, f"{name}_0", channels), f"{name}_0")
            y = _conv(y, f"{name}_1", channels)
            x = _relu(layers.Add(name=f"{name}_add")([y, x]), f"{name}_1")
        pyramid[level] = x
    return pyramid


def _conv(x: Any, name: str, channels: int, strides: int = 1) -> Any:
    from keras import layers

    x = layers.Conv2D(
        channels, 3, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def _relu(x: Any, name: str) -> Any:
    from keras import layers

    return layers.Activation("relu", name=f"{name}_relu")(x)


for _spec in (
    EncoderSpec(
        name="cnn",
        title="Plain CNN",
        family="cnn",
        backbone=_cnn,
        weights=(),
        scaling=TO_PLUS_MINUS_ONE,
        paper="Ronneberger et al. 2015, arXiv:1505.04597 (contracting path, strided convolutions for pooling)",
        licence="Apache-2.0",
        options={"width": 16},
    ),
    EncoderSpec(
        name="cnn_residual",
        title="Residual CNN",
        family="cnn_residual",
        backbone=_cnn_residual,
        weights=(),
        scaling=TO_PLUS_MINUS_ONE,
        paper="Isensee et al. 2024, arXiv:2404.09556 (residual encoder U-Net, in 2D, with BatchNorm)",
        licence="Apache-2.0",
        options={"width": 16, "blocks": 2},
    ),
):
    ENCODERS.add(_spec.name, _spec)
