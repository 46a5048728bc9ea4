"""DeepLabv3 decoder: atrous convolutions of several rates and the mean of the image, on the deepest level.

Chen et al. 2017, arXiv:1706.05587. It sees the deepest level alone and has no skip connections. The paper, and
segmentation_models.pytorch by default, dilate the encoder to an output stride of 8 or 16; here the encoder keeps its
strides, so that its features are those of every other arm, and the output stride is 2 ** `encoder_depth`: choose
depth 4 or 3 for the paper's. The rates shrink or grow with the stride (see `atrous_pyramid`). Further deviations: the
image's mean has a bias for its normalisation; features are narrowed to the last width before they grow to full
resolution, where the head is. `convs` 3×3 convolutions follow the atrous ones; segmentation_models.pytorch has one.
Deep supervision is a convolution on the level above the deepest.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, full_resolution, side_features
from lungzoo.decoders.context import atrous_pyramid
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _deeplabv3(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    depth, width = deepest(pyramid), style.channels[0]
    x = atrous_pyramid(pyramid[f"P{depth}"], depth, width, style, "decoder_atrous")
    x = conv_block(x, width, style, "decoder_context")
    auxiliary = side_features(pyramid, max(1, width // 4), style)
    return finish(full_resolution(x, depth, style.channels[1], style), auxiliary, style)


DECODERS.add(
    "deeplabv3",
    DecoderSpec(
        title="DeepLabv3",
        build=_deeplabv3,
        paper="Chen et al. 2017, arXiv:1706.05587",
        channels=(256, 32),
        widths="two: atrous pyramid, full resolution",
        per_level=False,
    ),
)
