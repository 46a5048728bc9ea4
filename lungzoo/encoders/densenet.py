"""DenseNets, from `keras.applications`."""

from __future__ import annotations

from functools import partial
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import BY_IMAGENET_STATISTICS, IMAGENET_MEAN, IMAGENET_STD, Skips, graft, scaled

_SKIPS: Skips = {"P1": "conv1_relu", "P2": "pool2_relu", "P3": "pool3_relu", "P4": "pool4_relu", "P5": "relu"}


def _densenet(rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(input_shape=(None, None, 3), include_top=False, weights=weights)
    return graft(reference, scaled(rgb, IMAGENET_MEAN, IMAGENET_STD), levels, _SKIPS, weights)


for _depth in (121, 169, 201):
    ENCODERS.add(
        f"densenet{_depth}",
        EncoderSpec(
            name=f"densenet{_depth}",
            title=f"DenseNet-{_depth}",
            family="densenet",
            backbone=partial(_densenet, builder=f"DenseNet{_depth}"),
            weights=("imagenet",),
            source="keras.applications",
            scaling=BY_IMAGENET_STATISTICS,
            paper="Huang et al. 2016, arXiv:1608.06993",
            licence="Apache-2.0 (Keras); ImageNet weights BSD-3-Clause",
        ),
    )
