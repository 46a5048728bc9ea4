"""MA-Net decoder: places of the deepest level attend to each other; channels are weighed where levels meet.

Fan et al. 2020, doi:10.1109/ACCESS.2020.3025372. Position-wise attention works on the deepest level, narrowed to the
first width; where a level meets its skip connection, squeeze and excitation of both, summed, weigh the channels of the
deeper one ("multi-scale fusion attention"). Deviations: the softmax runs over the keys of each place, as in position
attention, where segmentation_models.pytorch runs it over all pairs; the deeper features are narrowed to the skip
connection's channels before their 3×3 convolution, not after, which keeps wide encoders affordable; a squeeze leaves at
least 8 channels; the last block is plain, since encoders start at half resolution. Deep supervision takes the levels P1
to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import channel_gate, conv_block, conv_unit, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle

_KEY_CHANNELS = 64
_REDUCTION = 16
_LEAST_SQUEEZED = 8  # a single one would often be dead behind its ReLU


def _attend_to_places(x: Any, channels: int, style: DecoderStyle, name: str) -> Any:
    from keras import layers

    from lungzoo.decoders.layers.attention import PositionAttention

    x = conv_unit(x, channels, style, name)
    query, key = (
        layers.Conv2D(min(channels, _KEY_CHANNELS), 1, use_bias=False, name=f"{name}_{role}")(x)
        for role in ("query", "key")
    )
    value = layers.Conv2D(channels, 3, padding="same", name=f"{name}_value")(x)
    seen = PositionAttention(name=f"{name}_attention")([query, key, value])
    return conv_unit(layers.Add(name=f"{name}_sum")([x, seen]), channels, style, name, number=1)


def _fuse(x: Any, skip: Any, style: DecoderStyle, name: str) -> Any:
    """Return the deeper features, weighed and upsampled, joined with the skip connection."""
    from keras import layers

    channels = skip.shape[-1]
    x = conv_unit(x, channels, style, f"{name}_fuse", size=1)
    x = upsample(conv_unit(x, channels, style, f"{name}_fuse", number=1), style, name)
    squeezed = max(_LEAST_SQUEEZED, channels // _REDUCTION)
    deep = channel_gate(x, channels, squeezed, f"{name}_deep")
    shallow = channel_gate(skip, channels, squeezed, f"{name}_shallow")
    weights = layers.Add(name=f"{name}_weights")([deep, shallow])
    return layers.Concatenate(name=f"{name}_skip")([layers.Multiply(name=f"{name}_weigh")([x, weights]), skip])


def _manet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    depth, auxiliary = deepest(pyramid), {}
    x = _attend_to_places(pyramid[f"P{depth}"], style.channels[0], style, f"decoder_P{depth}")
    for step, number in enumerate(reversed(range(depth))):
        name, width = f"decoder_P{number}", style.channels[step]
        if f"P{number}" in pyramid:
            x = _fuse(x, pyramid[f"P{number}"], style, name)
        else:
            x = upsample(x, style, name, channels=width)
        x = auxiliary[f"P{number}"] = conv_block(x, width, style, name)
    del auxiliary["P0"]
    return finish(x, auxiliary, style)


DECODERS.add(
    "manet",
    DecoderSpec(
        title="MA-Net",
        build=_manet,
        paper="Fan et al. 2020, doi:10.1109/ACCESS.2020.3025372",
        channels=(256, 128, 64, 32, 16),
        widths="one per level, deepest first",
    ),
)
