"""SegFormer's decoder: one linear layer per level, all levels at quarter resolution, one linear layer to fuse them.

Xie et al. 2021, arXiv:2105.15203, section 3.2. There are no 3×3 convolutions, so `convs` means nothing here.
Deviations: features are narrowed to the last width before they grow to full resolution, where the head is; there is no
dropout but `dropout`. Features grow as `upsampling` says; the paper's is "bilinear". Deep supervision takes the levels'
linear features, P2 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import attend, conv_unit, deepest, finish, full_resolution, project, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _segformer(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    width = style.channels[0]
    numbers = sorted((int(level[1:]) for level in pyramid if level != "P1"), reverse=True)
    target = min(numbers)
    linear = {number: project(pyramid[f"P{number}"], width, f"decoder_P{number}_linear") for number in numbers}
    grown = [upsample(x, style, f"decoder_P{number}", factor=2 ** (number - target)) for number, x in linear.items()]
    x = layers.Concatenate(name="decoder_fuse_concat")(grown) if len(grown) > 1 else grown[0]
    x = attend(conv_unit(x, width, style, "decoder_fuse", size=1), style, "decoder_fuse")
    auxiliary = {f"P{number}": x for number, x in linear.items() if number < deepest(pyramid)}
    return finish(full_resolution(x, target, style.channels[1], style), auxiliary, style)


DECODERS.add(
    "segformer",
    DecoderSpec(
        title="SegFormer MLP",
        build=_segformer,
        paper="Xie et al. 2021, arXiv:2105.15203",
        channels=(256, 32),
        widths="two: linear layers, full resolution",
        per_level=False,
        min_depth=3,
        ignores=("convs",),
    ),
)
