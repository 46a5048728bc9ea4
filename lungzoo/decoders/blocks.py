"""Building blocks that decoders share."""

from __future__ import annotations

from typing import Any


def conv_block(x: Any, channels: int, convs: int, name: str) -> Any:
    """Apply `convs` times 3×3 convolution, BatchNorm and ReLU; returns (None, H, W, channels)."""
    from keras import layers

    for number in range(convs):
        x = layers.Conv2D(
            channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{number}"
        )(x)
        x = layers.BatchNormalization(name=f"{name}_norm{number}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
    return x


def upsample(x: Any, name: str) -> Any:
    """Double height and width by repetition, which trains under XLA and mixed precision."""
    from keras import layers

    return layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(x)
