"""U-Net++ decoder: every skip connection becomes a chain of blocks, each fed from one level below.

Zhou et al. 2018, arXiv:1807.10165, and Zhou et al. 2020, arXiv:1912.05074. Deviations: encoders start at half
resolution, so the nested triangle ends there and one plain block leads to full resolution; deep supervision takes the
last node of the levels P1 to P4, where the paper takes all nodes of the topmost level.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _unetplusplus(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth = deepest(pyramid)
    nodes = {(int(level[1:]), 0): features for level, features in pyramid.items()}
    for column in range(1, depth):
        for number in range(depth - column, 0, -1):
            name, width = f"decoder_P{number}_{column}", style.channels[depth - 1 - number]
            inputs = [nodes[number, before] for before in range(column) if (number, before) in nodes]
            inputs.append(upsample(nodes[number + 1, column - 1], style, name, channels=width))
            x = layers.Concatenate(name=f"{name}_skip")(inputs) if len(inputs) > 1 else inputs[0]
            nodes[number, column] = conv_block(x, width, style, name)
    width = style.channels[depth - 1]
    x = upsample(nodes[1, depth - 1], style, "decoder_P0", channels=width)
    x = conv_block(x, width, style, "decoder_P0")
    return finish(x, {f"P{number}": nodes[number, depth - number] for number in range(1, depth)}, style)


DECODERS.add(
    "unetplusplus",
    DecoderSpec(
        title="U-Net++",
        build=_unetplusplus,
        paper="Zhou et al. 2018, arXiv:1807.10165",
        channels=(256, 128, 64, 32, 16),
        widths="one per level, deepest first; all nodes of a level have its width",
    ),
)
