"""Linear probe: a linear map of every level, side by side at full resolution, and the mask head on them.

Alain & Bengio 2016, arXiv:1610.01644, probe a network's layers by linear classifiers; this is the same for each place.
With a frozen encoder it says how much of the answer the pretrained features already hold. Each level is narrowed before
it grows. Nothing is lost by that with one class: the head weighs a level's channels by nine vectors, one per place of
its 3×3 kernel, and any nine vectors can be written with nine narrowed channels or more. Of the options only `dropout`
and `upsampling` mean something, and "transpose", which is more than linear read-out, grows as "nearest" does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _linear(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    fixed = replace(style, upsampling="bilinear" if style.upsampling == "bilinear" else "nearest")
    grown = []
    for level in sorted(pyramid):
        narrow = layers.Conv2D(style.channels[0], 1, use_bias=False, name=f"decoder_{level}_linear")(pyramid[level])
        grown.append(upsample(narrow, fixed, f"decoder_{level}", factor=2 ** int(level[1:])))
    x = layers.Concatenate(name="decoder_P0_concat")(grown) if len(grown) > 1 else grown[0]
    return finish(x, {}, style)


DECODERS.add(
    "linear",
    DecoderSpec(
        title="Linear probe",
        build=_linear,
        paper="Alain & Bengio 2016, arXiv:1610.01644",
        channels=(9,),
        widths="one: channels that each level is narrowed to",
        per_level=False,
        ignores=("convs", "norm", "attention", "deep_supervision"),
    ),
)
