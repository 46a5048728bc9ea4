"""UPerNet decoder: pyramid pooling on the deepest level, a top-down pyramid from there, all levels fused.

Xiao et al. 2018, arXiv:1807.10221, the part that segments objects: all levels are brought to quarter resolution,
concatenated and fused by 3×3 convolutions. Deviations: `convs` convolutions fuse (the paper has one); features are
narrowed to the last width before they grow to full resolution, where the head is. Pooled cells and levels are enlarged
as PSPNet's and `upsampling` say; the paper's is "bilinear". Deep supervision takes the pyramid's levels P2 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, conv_unit, deepest, finish, full_resolution, upsample
from lungzoo.decoders.context import pyramid_pooling, top_down
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _upernet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth, width = deepest(pyramid), style.channels[0]
    pooled = pyramid_pooling(pyramid[f"P{depth}"], width, style, "decoder_pooling")
    levels = top_down(pyramid, width, style, start=conv_unit(pooled, width, style, "decoder_pooling"))
    target = min(levels)
    smooth = {
        number: x if number == depth else conv_unit(x, width, style, f"decoder_P{number}_smooth")
        for number, x in levels.items()
    }
    grown = [
        upsample(x, style, f"decoder_fuse_P{number}", factor=2 ** (number - target)) for number, x in smooth.items()
    ]
    x = layers.Concatenate(name="decoder_fuse_concat")(grown) if len(grown) > 1 else grown[0]
    x = conv_block(x, width, style, "decoder_fuse")
    auxiliary = {f"P{number}": x for number, x in smooth.items() if number < depth}
    return finish(full_resolution(x, target, style.channels[1], style), auxiliary, style)


DECODERS.add(
    "upernet",
    DecoderSpec(
        title="UPerNet",
        build=_upernet,
        paper="Xiao et al. 2018, arXiv:1807.10221",
        channels=(256, 32),
        widths="two: pyramid and fusion, full resolution",
        per_level=False,
        min_depth=3,
    ),
)
