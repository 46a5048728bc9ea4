"""Blocks that gather what surrounds a place: pyramid pooling, atrous pyramid, top-down pyramid."""

from __future__ import annotations

from typing import Any

from lungzoo.decoders.blocks import attend, conv_unit, pooled_unit, project, resize_like, separable_unit, upsample
from lungzoo.decoders.contract import DecoderStyle

_BINS = (1, 2, 3, 6)

# Rates 6, 12 and 18 at the output stride of 16, in pixels of the input.
_REACH_PX = (96, 192, 288)


def pyramid_pooling(x: Any, channels: int, style: DecoderStyle, name: str) -> Any:
    """Concatenate the map with its averages over 1, 2², 3² and 6² cells, each with a 1×1 convolution to `channels`.

    Maps with fewer pixels than cells are fine, down to one pixel.

    Source: Zhao et al. 2017, arXiv:1612.01105, figure 3.
    """
    from keras import layers

    from lungzoo.decoders.layers.resampling import AdaptiveAveragePooling

    parts = [x]
    for bins in _BINS:
        part = f"{name}_{bins}"
        if bins == 1:
            cells = pooled_unit(x, channels, part)
        else:
            cells = AdaptiveAveragePooling(bins, name=f"{part}_pool")(x)
            cells = conv_unit(cells, channels, style, part, size=1)
        parts.append(resize_like(cells, x, f"{part}_resize"))
    return layers.Concatenate(name=f"{name}_concat")(parts)


def atrous_pyramid(
    x: Any, level: int, channels: int, style: DecoderStyle, name: str, *, separable: bool = False
) -> Any:
    """Convolve at three dilation rates, 1×1 and over the whole map; concatenate; project to `channels`.

    The rates reach equally far in pixels of the input at every level: 3, 6, 9 at P5; 6, 12, 18 at P4, the paper's at
    output stride 16; 12, 24, 36 at P3, the paper's at output stride 8. Where a rate reaches beyond a small map, its
    convolution acts as a 1×1 one, which the paper describes too.

    Source: Chen et al. 2017, arXiv:1706.05587, section 3.3.
    """
    from keras import layers

    unit = separable_unit if separable else conv_unit
    parts = [conv_unit(x, channels, style, f"{name}_0", size=1)]
    for number, reach_px in enumerate(_REACH_PX, 1):
        parts.append(unit(x, channels, style, f"{name}_{number}", dilation=reach_px // 2**level))
    parts.append(resize_like(pooled_unit(x, channels, f"{name}_image"), x, f"{name}_image_resize"))
    x = layers.Concatenate(name=f"{name}_concat")(parts)
    return attend(conv_unit(x, channels, style, name, size=1), style, name)


def top_down(pyramid: dict[str, Any], channels: int, style: DecoderStyle, start: Any = None) -> dict[int, Any]:
    """Bring the levels from P2 on to one width and add to each the upsampled one below it.

    Args:
        pyramid: of the encoder; P1 is not used.
        channels: width of every level.
        style: settings.
        start: takes the place of the projected deepest level.

    Returns:
        {level number: Keras tensor}, deepest first.

    Source: Lin et al. 2017, arXiv:1612.03144, section 3.
    """
    from keras import layers

    numbers = sorted((int(level[1:]) for level in pyramid if level != "P1"), reverse=True)
    levels: dict[int, Any] = {}
    for number in numbers:
        name = f"decoder_P{number}"
        if not levels:
            levels[number] = project(pyramid[f"P{number}"], channels, f"{name}_lateral") if start is None else start
            continue
        lateral = project(pyramid[f"P{number}"], channels, f"{name}_lateral")
        above = upsample(levels[number + 1], style, name)
        levels[number] = layers.Add(name=f"{name}_add")([above, lateral])
    return levels
