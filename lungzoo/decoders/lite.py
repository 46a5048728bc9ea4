"""Lite decoder: for small machines. No convolution at full resolution, narrow levels, skip connections that are added.

On a CPU a decoder's time goes to wide convolutions of concatenated levels and to everything at full resolution. Here a
1×1 convolution narrows each level before it grows, levels are added as in FPN (Lin et al. 2017, arXiv:1612.03144), the
3×3 convolutions keep that width, and half-resolution features are upsampled once more for the head. The last width is
that of P1, where other decoders have that of full resolution. Deep supervision takes the levels P1 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, project, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _lite(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    x, auxiliary = None, {}
    for step, number in enumerate(range(deepest(pyramid), 0, -1)):
        name, width, parts = f"decoder_P{number}", style.channels[step], []
        if x is not None:
            parts.append(upsample(project(x, width, f"{name}_narrow"), style, name))
        if f"P{number}" in pyramid:
            parts.append(project(pyramid[f"P{number}"], width, f"{name}_lateral"))
        x = layers.Add(name=f"{name}_add")(parts) if len(parts) > 1 else parts[0]
        x = auxiliary[f"P{number}"] = conv_block(x, width, style, name)
    auxiliary.pop(f"P{deepest(pyramid)}")
    return finish(upsample(x, style, "decoder_P0"), auxiliary, style)


DECODERS.add(
    "lite",
    DecoderSpec(
        title="Lite",
        build=_lite,
        paper="Lin et al. 2017, arXiv:1612.03144 (top-down sums), stopped at half resolution",
        channels=(96, 64, 48, 32, 16),
        widths="one per level, deepest first, from the deepest to P1",
    ),
)
