"""Inception-like networks, from `keras.applications`.

They were made for 299 pixels without padding at their stride-2 layers. Here those layers pad, so that every level
lands on an exact stride.
"""

from __future__ import annotations

from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import ALL, TO_PLUS_MINUS_ONE, Before, Skips, graft, scaled

_SCALING = f"{TO_PLUS_MINUS_ONE}; layers without padding pad here, to land on exact strides"

_XCEPTION_SKIPS: Skips = {
    "P1": "block2_sepconv2_act",
    "P2": "block3_sepconv2_act",
    "P3": "block4_sepconv2_act",
    "P4": "block13_sepconv2_act",
    "P5": "block14_sepconv2_act",
}
_INCEPTION_V3_SKIPS: Skips = {
    "P1": Before("max_pooling2d"),
    "P2": Before("max_pooling2d_1"),
    "P3": "mixed2",
    "P4": "mixed7",
    "P5": "mixed10",
}
_INCEPTION_RESNET_V2_SKIPS: Skips = {
    "P1": Before("max_pooling2d"),
    "P2": Before("max_pooling2d_1"),
    "P3": "block35_10_ac",
    "P4": "block17_20_ac",
    "P5": "conv_7b_ac",
}
_NASNET_MOBILE_SKIPS: Skips = {
    "P1": "stem_bn1",
    "P2": "reduction_concat_stem_1",
    "P3": "normal_concat_3",
    "P4": "normal_concat_8",
    "P5": None,
}


def _xception(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    reference = keras.applications.Xception(input_shape=(None, None, 3), include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _XCEPTION_SKIPS, weights, same_padding=ALL)


def _inception_v3(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    reference = keras.applications.InceptionV3(input_shape=(None, None, 3), include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _INCEPTION_V3_SKIPS, weights, same_padding=ALL)


def _inception_resnet_v2(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    reference = keras.applications.InceptionResNetV2(input_shape=(None, None, 3), include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _INCEPTION_RESNET_V2_SKIPS, weights, same_padding=ALL)


def _nasnet_mobile(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    import keras

    # It compares the sizes of its branches while it is built, so the reference needs fixed sides; the graft does not.
    reference = keras.applications.NASNetMobile(input_shape=(224, 224, 3), include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _NASNET_MOBILE_SKIPS, weights, same_padding={"stem_conv1"})


for _spec in (
    EncoderSpec(
        name="xception",
        title="Xception",
        family="xception",
        backbone=_xception,
        weights=("imagenet",),
        source="keras.applications",
        scaling=_SCALING,
        paper="Chollet 2016, arXiv:1610.02357",
        licence="Apache-2.0 (Keras); ImageNet weights MIT",
    ),
    EncoderSpec(
        name="inceptionv3",
        title="Inception-V3",
        family="inception",
        backbone=_inception_v3,
        weights=("imagenet",),
        source="keras.applications",
        scaling=_SCALING,
        paper="Szegedy et al. 2015, arXiv:1512.00567",
        licence="Apache-2.0 (Keras); ImageNet weights Apache-2.0 (TensorFlow)",
    ),
    EncoderSpec(
        name="inceptionresnetv2",
        title="Inception-ResNet-V2",
        family="inception",
        backbone=_inception_resnet_v2,
        weights=("imagenet",),
        source="keras.applications",
        scaling=_SCALING,
        paper="Szegedy et al. 2016, arXiv:1602.07261",
        licence="Apache-2.0 (Keras); ImageNet weights Apache-2.0 (TensorFlow)",
    ),
    EncoderSpec(
        name="nasnetmobile",
        title="NASNet-Mobile",
        family="nasnet",
        backbone=_nasnet_mobile,
        weights=("imagenet",),
        source="keras.applications",
        scaling=_SCALING,
        paper="Zoph et al. 2017, arXiv:1707.07012",
        licence="Apache-2.0 (Keras); ImageNet weights Apache-2.0 (TensorFlow)",
    ),
):
    ENCODERS.add(_spec.name, _spec)
