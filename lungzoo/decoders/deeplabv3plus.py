"""DeepLabv3+ decoder: DeepLabv3's atrous pyramid, made of separable convolutions, joined with quarter resolution.

Chen et al. 2018, arXiv:1802.02611. The deepest level grows at once to that of P2, which is first narrowed so that it
does not outweigh it; `convs` separable 3×3 convolutions fuse them (the paper's default: two full ones of 256 channels;
separable in its fastest form and in segmentation_models.pytorch). The encoder keeps its strides, where the paper and
segmentation_models.pytorch dilate it to an output stride of 16 or 8: choose `encoder_depth` 4 or 3 for those. Further
deviations as in DeepLabv3; the paper's upsampling is "bilinear". Deep supervision is a convolution on the level above
the deepest.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, conv_unit, deepest, finish, full_resolution, side_features, upsample
from lungzoo.decoders.context import atrous_pyramid
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _deeplabv3plus(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth, (width, low_width, full_width) = deepest(pyramid), style.channels
    x = atrous_pyramid(pyramid[f"P{depth}"], depth, width, style, "decoder_atrous", separable=True)
    x = upsample(x, style, "decoder_P2", factor=2 ** (depth - 2))
    low = conv_unit(pyramid["P2"], low_width, style, "decoder_P2_low", size=1)
    x = layers.Concatenate(name="decoder_P2_skip")([x, low])
    x = conv_block(x, width, style, "decoder_P2", separable=True)
    auxiliary = side_features(pyramid, max(1, width // 4), style)
    return finish(full_resolution(x, 2, full_width, style), auxiliary, style)


DECODERS.add(
    "deeplabv3plus",
    DecoderSpec(
        title="DeepLabv3+",
        build=_deeplabv3plus,
        paper="Chen et al. 2018, arXiv:1802.02611",
        channels=(256, 48, 32),
        widths="three: atrous pyramid and fusion, narrowed P2, full resolution",
        per_level=False,
        min_depth=3,
    ),
)
