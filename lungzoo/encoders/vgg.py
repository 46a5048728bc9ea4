"""VGG networks, from `keras.applications`."""

from __future__ import annotations

from functools import partial
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import TO_CENTRED_255, Skips, centred_255, graft


def _vgg(rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str, convs: int) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(input_shape=(None, None, 3), include_top=False, weights=weights)
    # Block 1 works at full resolution, which is no pyramid level.
    skips: Skips = {
        "P1": "block2_conv2",
        "P2": f"block3_conv{convs}",
        "P3": f"block4_conv{convs}",
        "P4": f"block5_conv{convs}",
        "P5": "block5_pool",
    }
    return graft(reference, centred_255(rgb), levels, skips, weights, bgr_stem="block1_conv1")


for _depth, _convs in ((16, 3), (19, 4)):
    ENCODERS.add(
        f"vgg{_depth}",
        EncoderSpec(
            name=f"vgg{_depth}",
            title=f"VGG-{_depth}",
            family="vgg",
            backbone=partial(_vgg, builder=f"VGG{_depth}", convs=_convs),
            weights=("imagenet",),
            source="keras.applications",
            scaling=TO_CENTRED_255,
            paper="Simonyan & Zisserman 2014, arXiv:1409.1556",
            licence="Apache-2.0 (Keras); ImageNet weights CC-BY-4.0 (VGG, Oxford)",
        ),
    )
