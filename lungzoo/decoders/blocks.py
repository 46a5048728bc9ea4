"""Building blocks that decoders share: Keras tensors in, Keras tensors out, every layer named."""

from __future__ import annotations

import math
from typing import Any

from lungzoo.decoders.contract import Decoded, DecoderStyle

_GROUP_CHANNELS = 8


def deepest(pyramid: dict[str, Any]) -> int:
    """Return the number of the deepest level."""
    return max(int(level[1:]) for level in pyramid)


def normalise(x: Any, style: DecoderStyle, name: str) -> Any:
    """Normalise over the batch, groups of 8 channels (fewer where they do not divide) or each channel of an image."""
    from keras import layers

    if style.norm == "batch":
        return layers.BatchNormalization(name=name)(x)
    together = math.gcd(x.shape[-1], _GROUP_CHANNELS) if style.norm == "group" else 1
    return layers.GroupNormalization(x.shape[-1] // together, name=name)(x)


def conv_unit(
    x: Any, channels: int, style: DecoderStyle, name: str, *, number: int = 0, size: int = 3, dilation: int = 1
) -> Any:
    """Convolution without bias, normalisation and ReLU; returns (None, H, W, channels)."""
    from keras import layers

    x = layers.Conv2D(
        channels,
        size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv{number}",
    )(x)
    return norm_relu(x, style, name, number)


def norm_relu(x: Any, style: DecoderStyle, name: str, number: int = 0) -> Any:
    """Normalisation and ReLU after a convolution."""
    from keras import layers

    x = normalise(x, style, f"{name}_norm{number}")
    return layers.Activation("relu", name=f"{name}_relu{number}")(x)


def separable_unit(x: Any, channels: int, style: DecoderStyle, name: str, *, number: int = 0, dilation: int = 1) -> Any:
    """`conv_unit` with a 3×3 filter per channel before a 1×1 convolution; returns (None, H, W, channels)."""
    from keras import layers

    x = layers.DepthwiseConv2D(
        3, padding="same", dilation_rate=dilation, use_bias=False, name=f"{name}_depthwise{number}"
    )(x)
    return conv_unit(x, channels, style, name, number=number, size=1)


def conv_block(
    x: Any, channels: int, style: DecoderStyle, name: str, *, separable: bool = False, convolved: bool = False
) -> Any:
    """Apply `style.convs` times 3×3 convolution, normalisation and ReLU, then attention; (None, H, W, channels).

    With `convolved`, `x` is the result of the first convolution.
    """
    unit = separable_unit if separable else conv_unit
    if convolved:
        x = norm_relu(x, style, name)
    for number in range(int(convolved), style.convs):
        x = unit(x, channels, style, name, number=number)
    return attend(x, style, name)


def project(x: Any, channels: int, name: str) -> Any:
    """Apply a 1×1 convolution with bias and nothing else; returns (None, H, W, channels)."""
    from keras import layers

    return layers.Conv2D(channels, 1, name=name)(x)


def upsample(x: Any, style: DecoderStyle, name: str, *, factor: int = 2, channels: int | None = None) -> Any:
    """Multiply height and width.

    Args:
        x: Keras tensor (None, H, W, C).
        style: "nearest" repeats pixels; "bilinear" interpolates, with repeated border pixels; "transpose" learns a 2×2
            kernel of stride 2 for each doubling.
        name: prefix of the layers' names.
        factor: a power of two.
        channels: width after a transposed convolution, which is then `channels`; None keeps C. The others keep C.

    Returns:
        Keras tensor (None, factor·H, factor·W, …).
    """
    from keras import layers

    from lungzoo.decoders.layers.resampling import BilinearUpsampling, NearestUpsampling

    if factor == 1:
        return x
    if style.upsampling == "nearest":
        return NearestUpsampling(factor, name=f"{name}_up")(x)
    if style.upsampling == "bilinear":
        return BilinearUpsampling(factor, name=f"{name}_up")(x)
    for number in range(factor.bit_length() - 1):
        suffix = number or ""
        x = layers.Conv2DTranspose(channels or x.shape[-1], 2, 2, padding="same", name=f"{name}_up{suffix}")(x)
    return x


def full_resolution(x: Any, level: int, channels: int, style: DecoderStyle) -> Any:
    """Bring features of a level to full resolution, narrowed first.

    Papers that predict at a coarse level apply the head there and enlarge its logits. Here the head comes after the
    decoder, so features are narrowed by a linear 1×1 convolution before they grow, which costs as little and can
    express the same, as long as there are no more classes than channels.
    """
    return upsample(project(x, channels, "decoder_P0_project"), style, "decoder_P0", factor=2**level)


def attend(x: Any, style: DecoderStyle, name: str) -> Any:
    """Apply the attention that the style asks for."""
    return scse(x, f"{name}_scse") if style.attention == "scse" else x


def channel_gate(x: Any, channels: int, squeezed: int, name: str) -> Any:
    """Squeeze to few channels and excite: one factor in (0, 1) per channel and image, (None, 1, 1, channels).

    Source: Hu et al. 2018, arXiv:1709.01507.
    """
    from keras import layers

    few = pooled_unit(x, squeezed, f"{name}_squeeze")
    return layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_excite")(few)


def scse(x: Any, name: str) -> Any:
    """Weigh channels and places, and add the two.

    Source: Roy et al. 2018, arXiv:1803.02579, with its reduction of 2.
    """
    from keras import layers

    place = layers.Conv2D(1, 1, use_bias=False, activation="sigmoid", name=f"{name}_place")(x)
    gate = channel_gate(x, x.shape[-1], max(1, x.shape[-1] // 2), f"{name}_channel")
    by_channel = layers.Multiply(name=f"{name}_by_channel")([x, gate])
    by_place = layers.Multiply(name=f"{name}_by_place")([x, place])
    return layers.Add(name=f"{name}_sum")([by_channel, by_place])


def pooled_unit(x: Any, channels: int, name: str, activation: str = "relu") -> Any:
    """Average over the whole map, 1×1 convolution with bias, activation; returns (None, 1, 1, channels).

    There is no normalisation: a single place has no variance within an image, and too little within a small batch.
    """
    from keras import layers

    from lungzoo.decoders.layers.resampling import AdaptiveAveragePooling

    pooled = AdaptiveAveragePooling(1, name=f"{name}_pool")(x)
    return layers.Conv2D(channels, 1, activation=activation, kernel_initializer="he_normal", name=f"{name}_conv")(
        pooled
    )


def resize_like(x: Any, like: Any, name: str) -> Any:
    """Resize bilinearly to the height and width of `like`, whatever they are."""
    from lungzoo.decoders.layers.resampling import ResizeLike

    return ResizeLike(name=name)([x, like])


def side_features(pyramid: dict[str, Any], channels: int, style: DecoderStyle) -> dict[str, Any]:
    """Return features for an auxiliary head on the level above the deepest; empty without deep supervision.

    This is the auxiliary branch of PSPNet: Zhao et al. 2017, arXiv:1612.01105, section 3.3.
    """
    level = f"P{deepest(pyramid) - 1}"
    if not style.deep_supervision or level not in pyramid:
        return {}
    return {level: conv_unit(pyramid[level], channels, style, f"decoder_{level}_side")}


def finish(features: Any, auxiliary: dict[str, Any], style: DecoderStyle) -> Decoded:
    """Drop whole channels while training, and drop auxiliary features that nobody asked for."""
    from keras import layers

    if style.dropout:
        features = layers.SpatialDropout2D(style.dropout, name="decoder_dropout")(features)
    return Decoded(features, auxiliary if style.deep_supervision else {})
