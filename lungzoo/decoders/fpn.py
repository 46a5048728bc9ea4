"""FPN decoder: a top-down pyramid of one width, whose levels grow to quarter resolution and are summed.

Lin et al. 2017, arXiv:1612.03144; for segmentation Kirillov et al. 2019, arXiv:1901.02446 ("Panoptic FPN"), as in
segmentation_models. Each doubling on the way to quarter resolution has `convs` 3×3 convolutions; the papers have one.
Deviations: normalisation is `norm` (theirs: "group"); the pyramid's own 3×3 convolutions are left to those that follow;
features are narrowed to the last width before they grow to full resolution, where the head is. Deep supervision takes
the pyramid's levels P2 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, finish, full_resolution, upsample
from lungzoo.decoders.context import top_down
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _branch(x: Any, doublings: int, style: DecoderStyle, name: str) -> Any:
    for number in range(max(1, doublings)):
        x = conv_block(x, style.channels[1], style, f"{name}_{number}")
        if number < doublings:
            x = upsample(x, style, f"{name}_{number}")
    return x


def _fpn(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    levels = top_down(pyramid, style.channels[0], style)
    target = min(levels)
    branches = [_branch(x, number - target, style, f"decoder_branch_P{number}") for number, x in levels.items()]
    x = layers.Add(name="decoder_sum")(branches) if len(branches) > 1 else branches[0]
    auxiliary = {f"P{number}": x for number, x in levels.items() if number < max(levels)}
    return finish(full_resolution(x, target, style.channels[2], style), auxiliary, style)


DECODERS.add(
    "fpn",
    DecoderSpec(
        title="FPN",
        build=_fpn,
        paper="Kirillov et al. 2019, arXiv:1901.02446",
        channels=(256, 128, 32),
        widths="three: pyramid, its branches, full resolution",
        per_level=False,
        min_depth=3,
    ),
)
