"""ResNets with bottleneck blocks, from `keras.applications`: one row of depths each."""

from __future__ import annotations

from functools import partial
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import TO_CENTRED_255, TO_PLUS_MINUS_ONE, Skips, centred_255, graft, scaled

_LICENCE = "Apache-2.0 (Keras); ImageNet weights MIT"


def _resnet(
    rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str, blocks: tuple[int, ...]
) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(input_shape=(None, None, 3), include_top=False, weights=weights)
    stages = {f"P{stage}": f"conv{stage}_block{count}_out" for stage, count in enumerate(blocks, 2)}
    skips: Skips = {"P1": "conv1_relu", **stages}
    return graft(reference, centred_255(rgb), levels, skips, weights, bgr_stem="conv1_conv")


def _resnet_v2(
    rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str, blocks: tuple[int, ...]
) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(input_shape=(None, None, 3), include_top=False, weights=weights)
    # The last block of each stage halves; what goes into it, normalised, is the deepest at its resolution.
    stages = {f"P{stage}": f"conv{stage}_block{count}_preact_relu" for stage, count in enumerate(blocks[:-1], 2)}
    skips: Skips = {"P1": "conv1_conv", **stages, "P5": "post_relu"}
    return graft(reference, scaled(rgb), levels, skips, weights)


_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

for _depth, _blocks in _BLOCKS.items():
    ENCODERS.add(
        f"resnet{_depth}",
        EncoderSpec(
            name=f"resnet{_depth}",
            title=f"ResNet-{_depth}",
            family="resnet",
            backbone=partial(_resnet, builder=f"ResNet{_depth}", blocks=_blocks),
            weights=("imagenet",),
            source="keras.applications",
            scaling=TO_CENTRED_255,
            paper="He et al. 2015, arXiv:1512.03385",
            licence=_LICENCE,
        ),
    )
    ENCODERS.add(
        f"resnet{_depth}v2",
        EncoderSpec(
            name=f"resnet{_depth}v2",
            title=f"ResNet-{_depth} V2",
            family="resnetv2",
            backbone=partial(_resnet_v2, builder=f"ResNet{_depth}V2", blocks=_blocks),
            weights=("imagenet",),
            source="keras.applications",
            scaling=TO_PLUS_MINUS_ONE,
            paper="He et al. 2016, arXiv:1603.05027",
            licence=_LICENCE,
        ),
    )
