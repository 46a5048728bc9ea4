"""LinkNet decoder: narrow bottlenecks, and skip connections that are added.

Chaurasia & Culurciello 2017, arXiv:1707.03718. A block narrows its input to a quarter, upsamples, convolves and widens
to the channels of the encoder level that is added next. Deviations: upsampling comes from `upsampling` and is followed
by `convs` 3×3 convolutions, where the paper has one transposed 3×3 convolution; the last block is one of these too
instead of the paper's own three layers. Deep supervision takes the levels P1 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, conv_unit, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _linknet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth = deepest(pyramid)
    x, auxiliary = pyramid[f"P{depth}"], {}
    for number in reversed(range(depth)):
        name, skip = f"decoder_P{number}", pyramid.get(f"P{number}")
        narrow = max(1, x.shape[-1] // 4)
        x = conv_unit(x, narrow, style, f"{name}_narrow", size=1)
        x = conv_block(upsample(x, style, name), narrow, style, name)
        x = conv_unit(x, style.channels[0] if skip is None else skip.shape[-1], style, f"{name}_widen", size=1)
        if skip is not None:
            x = layers.Add(name=f"{name}_skip")([x, skip])
        auxiliary[f"P{number}"] = x
    del auxiliary["P0"]
    return finish(x, auxiliary, style)


DECODERS.add(
    "linknet",
    DecoderSpec(
        title="LinkNet",
        build=_linknet,
        paper="Chaurasia & Culurciello 2017, arXiv:1707.03718",
        channels=(16,),
        widths="one, for full resolution and a level that the encoder lacks; other levels have the encoder's",
        per_level=False,
    ),
)
