"""PAN decoder: a small attention pyramid on the deepest level; deeper features weigh the channels of shallower ones.

Li et al. 2018, arXiv:1805.10180: feature pyramid attention, then global attention upsampling to quarter resolution. The
attention pyramid halves the deepest map three times (7×7, 5×5 and 3×3 convolutions), rounding up, so that it works
down to one pixel; it is enlarged bilinearly. Deviations: the pooled branches have a bias for their normalisation; the
paper and segmentation_models.pytorch dilate the encoder to an output stride of 16, here it keeps its strides (choose
`encoder_depth` 4); `convs` 3×3 convolutions stand before a shallower level is weighed (the paper has one); features are
brought to the last width before they grow to full resolution, where the head is. Deep supervision takes the levels P2
to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import (
    conv_block,
    conv_unit,
    deepest,
    finish,
    full_resolution,
    pooled_unit,
    resize_like,
    upsample,
)
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle

_KERNELS = (7, 5, 3)


def _pyramid_attention(x: Any, channels: int, style: DecoderStyle, name: str) -> Any:
    """Weigh the projected map by a pyramid of its surroundings, and add the mean of the image."""
    from keras import layers

    features = conv_unit(x, channels, style, f"{name}_features", size=1)
    sizes, down = [features], x
    for size in _KERNELS:
        down = layers.MaxPooling2D(2, padding="same", name=f"{name}_{size}_pool")(down)
        down = conv_unit(down, channels, style, f"{name}_{size}_down", size=size)
        sizes.append(down)
    up = None
    for size, here, larger in zip(reversed(_KERNELS), sizes[:0:-1], sizes[-2::-1], strict=True):
        part = conv_unit(here, channels, style, f"{name}_{size}_part", size=size)
        up = part if up is None else layers.Add(name=f"{name}_{size}_add")([part, up])
        up = resize_like(up, larger, f"{name}_{size}_up")
    weighed = layers.Multiply(name=f"{name}_weigh")([features, up])
    return layers.Add(name=f"{name}_add")([weighed, pooled_unit(x, channels, f"{name}_image")])


def _pan(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth, width = deepest(pyramid), style.channels[0]
    numbers = sorted((int(level[1:]) for level in pyramid if level != "P1"), reverse=True)
    x, auxiliary = _pyramid_attention(pyramid[f"P{depth}"], width, style, f"decoder_P{depth}"), {}
    for number in numbers[1:]:
        name = f"decoder_P{number}"
        weights = pooled_unit(x, width, f"{name}_weights", activation="sigmoid")
        low = conv_block(pyramid[f"P{number}"], width, style, name)
        low = layers.Multiply(name=f"{name}_weigh")([low, weights])
        x = auxiliary[f"P{number}"] = layers.Add(name=f"{name}_add")([upsample(x, style, name), low])
    return finish(full_resolution(x, min(numbers), style.channels[1], style), auxiliary, style)


DECODERS.add(
    "pan",
    DecoderSpec(
        title="PAN",
        build=_pan,
        paper="Li et al. 2018, arXiv:1805.10180",
        channels=(32, 32),
        widths="two: all levels, full resolution",
        per_level=False,
        min_depth=3,
    ),
)
