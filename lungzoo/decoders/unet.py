"""U-Net decoder: upsample, concatenate the skip connection, convolve; once per level.

Ronneberger et al. 2015, arXiv:1505.04597. As in segmentation_models: padded convolutions without bias, BatchNorm before
ReLU, nearest-neighbour upsampling, and a last block without a skip connection, since encoders start at half resolution.
With upsampling "transpose" the 2×2 up-convolution of the paper comes back. Deep supervision takes the levels P1 to P3.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle

# At levels up to this one, features are so large and narrow that enlarging inside the convolution pays.
_FUSED_LEVEL = 2


def _unet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    from lungzoo.decoders.layers.growing import GrowingConv2D

    depth = deepest(pyramid)
    x, auxiliary = pyramid[f"P{depth}"], {}
    for step, number in enumerate(reversed(range(depth))):
        name = f"decoder_P{number}"
        skips = [pyramid[level] for level in (f"P{number}",) if level in pyramid]
        if style.upsampling == "nearest" and number <= _FUSED_LEVEL:
            x = GrowingConv2D(style.channels[step], name=f"{name}_conv0")([x, *skips] if skips else x)
            x = conv_block(x, style.channels[step], style, name, convolved=True)
        else:
            x = upsample(x, style, name, channels=style.channels[step])
            if skips:
                x = layers.Concatenate(name=f"{name}_skip")([x, *skips])
            x = conv_block(x, style.channels[step], style, name)
        if 1 <= number <= 3:
            auxiliary[f"P{number}"] = x
    return finish(x, auxiliary, style)


DECODERS.add(
    "unet",
    DecoderSpec(
        title="U-Net",
        build=_unet,
        paper="Ronneberger et al. 2015, arXiv:1505.04597",
        channels=(256, 128, 64, 32, 16),
        widths="one per level, deepest first",
    ),
)
