"""PSPNet decoder: averages over grids of 1, 2, 3 and 6 cells tell each place of the deepest level its surroundings.

Zhao et al. 2017, arXiv:1612.01105. It sees the deepest level alone and has no skip connections: with `encoder_depth`
3 it stands at an eighth of the resolution, as in the paper and in segmentation_models, where dilation or a shallow
encoder brings it there; at depth 5 a cell of the map is 32 pixels wide, too coarse for small lesions. Deviations: the
one-cell branch has a bias for its normalisation; `convs` 3×3 convolutions follow (the paper has one); features are
narrowed to the last width before they grow to full resolution, where the head is. Cells are enlarged bilinearly,
whatever `upsampling` says. Deep supervision is the paper's: a convolution on the level above the deepest.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, full_resolution, side_features
from lungzoo.decoders.context import pyramid_pooling
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _pspnet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    depth, width = deepest(pyramid), style.channels[0]
    features = pyramid[f"P{depth}"]
    x = pyramid_pooling(features, max(1, features.shape[-1] // 4), style, "decoder_pooling")
    x = conv_block(x, width, style, "decoder_context")
    auxiliary = side_features(pyramid, max(1, width // 4), style)
    return finish(full_resolution(x, depth, style.channels[1], style), auxiliary, style)


DECODERS.add(
    "pspnet",
    DecoderSpec(
        title="PSPNet",
        build=_pspnet,
        paper="Zhao et al. 2017, arXiv:1612.01105",
        channels=(512, 32),
        widths="two: after pyramid pooling, full resolution",
        per_level=False,
    ),
)
