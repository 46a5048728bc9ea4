"""Linear probe: every level at full resolution, side by side; nothing here trains, so that the mask head alone does.

Alain & Bengio 2016, arXiv:1610.01644, probe a network's layers by linear classifiers; this is the same for each place.
With a frozen encoder it says how much of the answer the pretrained features already hold. Of the options only
`dropout` and `upsampling` mean something: "transpose" would train, so it repeats pixels as "nearest" does, and `convs`,
`norm`, `attention` and `deep_supervision` have nothing to act on. Memory grows with the sum of the encoder's channels
at full resolution: lower `encoder_depth` for wide encoders.
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
    grown = [
        upsample(pyramid[level], fixed, f"decoder_{level}", factor=2 ** int(level[1:])) for level in sorted(pyramid)
    ]
    x = layers.Concatenate(name="decoder_P0_concat")(grown) if len(grown) > 1 else grown[0]
    return finish(x, {}, style)


DECODERS.add(
    "linear",
    DecoderSpec(
        title="Linear probe",
        build=_linear,
        paper="Alain & Bengio 2016, arXiv:1610.01644",
        channels=(),
        widths="none: it has the channels of all encoder levels together",
        per_level=False,
    ),
)
