"""3D U-Net: an encoder that starts at full resolution, and the decoder that every 3D model here shares.

Çiçek et al. 2016, arXiv:1606.06650. As there, every level has two 3×3×3 convolutions with BatchNorm and ReLU, width
doubles before each pooling, and the first level, at full resolution, is a skip connection too ("P0"). With
`encoder_depth` 3, `max_width` 512 and "transpose" upsampling it is the paper's network but for three deviations:
convolutions are padded; up-convolutions have the width of the block that follows; and z is halved less often than y
and x, since a patch has few slices, and CT slices lie further apart than pixels. Both limits, of width and of z, are
nnU-Net's: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders.blocks import deepest, normalise
from lungzoo.decoders.contract import Decoded, DecoderStyle

Strides = dict[str, tuple[int, int, int]]


def level_strides(slices: int, depth: int) -> Strides:
    """Return how many times smaller each level is along (z, y, x), level P0 included.

    z is halved only while at least two slices are left, and at the deepest levels, where pixels have become as large
    as slices are thick: 3 slices stay 3, of 5 (padded to 6) the deepest level has 3, of 9 (padded to 12) 3 also.
    """
    halvings = min(depth, (slices // 2).bit_length() - 1) if slices > 1 else 0
    return {f"P{n}": (2 ** max(0, n - (depth - halvings)), 2**n, 2**n) for n in range(depth + 1)}


def unet3d_pyramid(image: Any, strides: Strides, width: int, max_width: int) -> dict[str, Any]:
    """Build the encoder; returns {"P0": (None, D, H, W, c₀), "P1": …}."""
    from keras import layers

    style = DecoderStyle(channels=())
    pyramid: dict[str, Any] = {}
    x = layers.Rescaling(2.0, offset=-1.0, name="scale_input")(image)
    for number, level in enumerate(strides):
        if number:
            factor = halving(strides, number)
            x = layers.MaxPooling3D(factor, name=f"{level}_pool")(x)
        for step in (0, 1):
            channels = min(width * 2 ** (number + step), max_width)
            x = conv_unit3d(x, channels, style, level, number=step)
        pyramid[level] = x
    return pyramid


def decode3d(pyramid: dict[str, Any], strides: Strides, style: DecoderStyle) -> Decoded:
    """Upsample, concatenate the skip connection, convolve, once per level; "transpose" is the papers' upsampling."""
    from keras import layers

    depth = deepest(pyramid)
    x, auxiliary = pyramid[f"P{depth}"], {}
    for step, number in enumerate(reversed(range(depth))):
        name, channels = f"decoder_P{number}", style.channels[step]
        factor = halving(strides, number + 1)
        if style.upsampling == "transpose":
            x = layers.Conv3DTranspose(channels, factor, factor, padding="same", name=f"{name}_up")(x)
        else:
            x = layers.UpSampling3D(factor, name=f"{name}_up")(x)
        x = layers.Concatenate(name=f"{name}_skip")([x, pyramid[f"P{number}"]])
        for convolution in range(style.convs):
            x = conv_unit3d(x, channels, style, name, number=convolution)
        if style.deep_supervision and 1 <= number <= 3:
            auxiliary[f"P{number}"] = x
    if style.dropout:
        x = layers.SpatialDropout3D(style.dropout, name="decoder_dropout")(x)
    return Decoded(x, auxiliary)


def conv_unit3d(x: Any, channels: int, style: DecoderStyle, name: str, *, number: int) -> Any:
    """3×3×3 convolution without bias, normalisation and ReLU; returns (None, D, H, W, channels)."""
    from keras import layers

    x = layers.Conv3D(
        channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{number}"
    )(x)
    x = normalise(x, style, f"{name}_norm{number}")
    return layers.Activation("relu", name=f"{name}_relu{number}")(x)


def halving(strides: Strides, number: int) -> tuple[int, ...]:
    """Return how many times smaller a level is than the one above it, along (z, y, x)."""
    above, here = strides[f"P{number - 1}"], strides[f"P{number}"]
    return tuple(small // large for small, large in zip(here, above, strict=True))
