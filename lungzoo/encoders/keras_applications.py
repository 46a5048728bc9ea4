"""Encoders from `keras.applications`: one row each."""

from __future__ import annotations

import warnings
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec

_LICENCE = "Apache-2.0 (Keras); ImageNet weights as published by keras.applications"


def _mobilenetv2(rgb: Any, levels: tuple[str, ...], weights: str | None, alpha: float) -> dict[str, Any]:
    import keras

    scaled = keras.layers.Rescaling(2.0, offset=-1.0, name="scale_input")(rgb)
    with warnings.catch_warnings():
        # The weights file is chosen by the input shape; (None, None, 3) takes the one trained at 224 pixels, and warns.
        warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
        reference = keras.applications.MobileNetV2(
            input_shape=(None, None, 3), alpha=alpha, include_top=False, weights=weights
        )
    skips = {
        "P1": "block_1_expand_relu",
        "P2": "block_3_expand_relu",
        "P3": "block_6_expand_relu",
        "P4": "block_13_expand_relu",
        "P5": "out_relu",
    }
    return _graft(reference, scaled, levels, skips)


def _resnet50(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    # "Caffe" scaling: 0..255, BGR, ImageNet's channel means taken away.
    scaled = keras.layers.Rescaling(255.0, name="scale_input")(keras.ops.flip(rgb, axis=-1))
    centred = keras.layers.Normalization(mean=[103.939, 116.779, 123.68], variance=[1.0] * 3, name="centre")(scaled)
    reference = keras.applications.ResNet50(input_shape=(None, None, 3), include_top=False, weights=weights)
    skips = {
        "P1": "conv1_relu",
        "P2": "conv2_block3_out",
        "P3": "conv3_block4_out",
        "P4": "conv4_block6_out",
        "P5": "conv5_block3_out",
    }
    return _graft(reference, centred, levels, skips)


def _efficientnetb0(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    # It scales and normalises 0..255 itself.
    scaled = keras.layers.Rescaling(255.0, name="scale_input")(rgb)
    reference = keras.applications.EfficientNetB0(input_shape=(None, None, 3), include_top=False, weights=weights)
    skips = {
        "P1": "block2a_expand_activation",
        "P2": "block3a_expand_activation",
        "P3": "block4a_expand_activation",
        "P4": "block6a_expand_activation",
        "P5": "top_activation",
    }
    return _graft(reference, scaled, levels, skips)


def _graft(reference: Any, tensor: Any, levels: tuple[str, ...], skips: dict[str, str]) -> dict[str, Any]:
    """Run a reference network on our own scaled input, no deeper than the wanted levels; skips are layer names."""
    import keras

    outputs = {level: reference.get_layer(skips[level]).output for level in levels}
    return dict(keras.Model(reference.input, outputs, name="backbone")(tensor))


for _spec in (
    EncoderSpec(
        name="mobilenetv2",
        backbone=_mobilenetv2,
        weights=("imagenet",),
        scaling="[0, 1] to [-1, 1]",
        paper="Sandler et al. 2018, arXiv:1801.04381",
        licence=_LICENCE,
        options={"alpha": 1.0},
        pretrained={"alpha": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)},
    ),
    EncoderSpec(
        name="resnet50",
        backbone=_resnet50,
        weights=("imagenet",),
        scaling="[0, 1] to 0..255, BGR, ImageNet channel means subtracted",
        paper="He et al. 2015, arXiv:1512.03385",
        licence=_LICENCE,
    ),
    EncoderSpec(
        name="efficientnetb0",
        backbone=_efficientnetb0,
        weights=("imagenet",),
        scaling="[0, 1] to 0..255; the network normalises by ImageNet channel statistics itself",
        paper="Tan & Le 2019, arXiv:1905.11946",
        licence=_LICENCE,
    ),
):
    ENCODERS.add(_spec.name, _spec)
