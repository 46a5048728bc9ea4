"""U-Net decoder: upsample, concatenate the skip connection, convolve; once per level."""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, upsample


@DECODERS.register("unet")
def unet(pyramid: dict[str, Any], *, channels: tuple[int, ...], convs: int) -> Any:
    """Decode from the deepest level up to full resolution.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, with nearest-neighbour upsampling.
    """
    from keras import layers

    depth = max(int(level[1:]) for level in pyramid)
    x = pyramid[f"P{depth}"]
    for step, level in enumerate(reversed(range(depth))):
        name = f"decoder_P{level}"
        x = upsample(x, name)
        if f"P{level}" in pyramid:
            x = layers.Concatenate(name=f"{name}_skip")([x, pyramid[f"P{level}"]])
        x = conv_block(x, channels[step], convs, name)
    return x
