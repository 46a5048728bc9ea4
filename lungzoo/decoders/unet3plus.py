"""UNet 3+ decoder: each level sees every encoder level above it and every decoder level below it.

Huang et al. 2020, arXiv:2004.08790. A branch per seen level has a 3×3 convolution to the first of the widths; a node
concatenates its branches, and its convolutions keep that many channels. Deviations: branches from deeper levels are
convolved before they are upsampled, not after, which is many times cheaper where the deepest level is wide; encoders
start at half resolution, so the nodes end there and one plain block leads to full resolution; there is no
classification-guided module. Features grow as `upsampling` says; the paper's is "bilinear", and it has convs = 1.
Deep supervision takes all nodes, as in the paper, but for the deepest level.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, conv_unit, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _branch(x: Any, source: int, target: int, style: DecoderStyle) -> Any:
    from keras import layers

    name, width = f"decoder_P{target}_from_P{source}", style.channels[0]
    if source < target:
        x = layers.MaxPooling2D(2 ** (target - source), name=f"{name}_pool")(x)
    x = conv_unit(x, width, style, name)
    return upsample(x, style, name, factor=2 ** max(0, source - target))


def _unet3plus(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth = deepest(pyramid)
    nodes = {depth: pyramid[f"P{depth}"]}
    for target in range(depth - 1, 0, -1):
        sources = {number: pyramid[f"P{number}"] for number in range(1, target + 1) if f"P{number}" in pyramid} | nodes
        branches = [_branch(sources[number], number, target, style) for number in sorted(sources)]
        name = f"decoder_P{target}"
        x = layers.Concatenate(name=f"{name}_skip")(branches) if len(branches) > 1 else branches[0]
        nodes[target] = conv_block(x, style.channels[0] * len(branches), style, name)
    x = upsample(nodes[1], style, "decoder_P0", channels=style.channels[1])
    x = conv_block(x, style.channels[1], style, "decoder_P0")
    return finish(x, {f"P{number}": nodes[number] for number in range(1, depth)}, style)


DECODERS.add(
    "unet3plus",
    DecoderSpec(
        title="UNet 3+",
        build=_unet3plus,
        paper="Huang et al. 2020, arXiv:2004.08790",
        channels=(64, 16),
        widths="two: a branch (a node has as many times that as it has branches), full resolution",
        per_level=False,
    ),
)
