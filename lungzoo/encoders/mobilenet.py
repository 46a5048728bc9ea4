"""MobileNets, from `keras.applications`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import TO_PLUS_MINUS_ONE, Before, Skips, graft, scaled

_LICENCE = "Apache-2.0 (Keras); ImageNet weights Apache-2.0 (TensorFlow)"

_V1_SKIPS: Skips = {
    "P1": "conv_pw_1_relu",
    "P2": "conv_pw_3_relu",
    "P3": "conv_pw_5_relu",
    "P4": "conv_pw_11_relu",
    "P5": "conv_pw_13_relu",
}
_V2_SKIPS: Skips = {
    "P1": "block_1_expand_relu",
    "P2": "block_3_expand_relu",
    "P3": "block_6_expand_relu",
    "P4": "block_13_expand_relu",
    "P5": "out_relu",
}
_V3_SMALL_SKIPS: Skips = {
    "P1": Before("expanded_conv_depthwise_pad"),
    "P2": Before("expanded_conv_1_depthwise_pad"),
    "P3": Before("expanded_conv_3_depthwise_pad"),
    "P4": Before("expanded_conv_8_depthwise_pad"),
    "P5": None,
}
_V3_LARGE_SKIPS: Skips = {
    "P1": Before("expanded_conv_1_depthwise_pad"),
    "P2": Before("expanded_conv_3_depthwise_pad"),
    "P3": Before("expanded_conv_6_depthwise_pad"),
    "P4": Before("expanded_conv_12_depthwise_pad"),
    "P5": None,
}


@contextmanager
def _any_size() -> Iterator[None]:
    # The weights file is chosen by the input shape; (None, None, 3) takes the one trained at 224 pixels, and warns.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
        yield


def _mobilenet(rgb: Any, levels: tuple[str, ...], weights: str | None, alpha: float) -> dict[str, Any]:
    import keras

    with _any_size():
        reference = keras.applications.MobileNet((None, None, 3), alpha, include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _V1_SKIPS, weights)


def _mobilenetv2(rgb: Any, levels: tuple[str, ...], weights: str | None, alpha: float) -> dict[str, Any]:
    import keras

    with _any_size():
        reference = keras.applications.MobileNetV2((None, None, 3), alpha, include_top=False, weights=weights)
    return graft(reference, scaled(rgb), levels, _V2_SKIPS, weights)


def _mobilenetv3_small(rgb: Any, levels: tuple[str, ...], weights: str | None, alpha: float) -> dict[str, Any]:
    import keras

    with _any_size():
        reference = keras.applications.MobileNetV3Small(
            (None, None, 3), alpha, include_top=False, weights=weights, include_preprocessing=False
        )
    return graft(reference, scaled(rgb), levels, _V3_SMALL_SKIPS, weights)


def _mobilenetv3_large(rgb: Any, levels: tuple[str, ...], weights: str | None, alpha: float) -> dict[str, Any]:
    import keras

    with _any_size():
        reference = keras.applications.MobileNetV3Large(
            (None, None, 3), alpha, include_top=False, weights=weights, include_preprocessing=False
        )
    return graft(reference, scaled(rgb), levels, _V3_LARGE_SKIPS, weights)


for _spec in (
    EncoderSpec(
        name="mobilenet",
        title="MobileNet",
        family="mobilenet",
        backbone=_mobilenet,
        weights=("imagenet",),
        source="keras.applications",
        scaling=TO_PLUS_MINUS_ONE,
        paper="Howard et al. 2017, arXiv:1704.04861",
        licence=_LICENCE,
        options={"alpha": 1.0},
        pretrained={"alpha": (0.25, 0.5, 0.75, 1.0)},
    ),
    EncoderSpec(
        name="mobilenetv2",
        title="MobileNetV2",
        family="mobilenetv2",
        backbone=_mobilenetv2,
        weights=("imagenet",),
        source="keras.applications",
        scaling=TO_PLUS_MINUS_ONE,
        paper="Sandler et al. 2018, arXiv:1801.04381",
        licence=_LICENCE,
        options={"alpha": 1.0},
        pretrained={"alpha": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)},
    ),
    EncoderSpec(
        name="mobilenetv3small",
        title="MobileNetV3-Small",
        family="mobilenetv3",
        backbone=_mobilenetv3_small,
        weights=("imagenet",),
        source="keras.applications",
        scaling=TO_PLUS_MINUS_ONE,
        paper="Howard et al. 2019, arXiv:1905.02244",
        licence=_LICENCE,
        options={"alpha": 1.0},
        pretrained={"alpha": (0.75, 1.0)},
    ),
    EncoderSpec(
        name="mobilenetv3large",
        title="MobileNetV3-Large",
        family="mobilenetv3",
        backbone=_mobilenetv3_large,
        weights=("imagenet",),
        source="keras.applications",
        scaling=TO_PLUS_MINUS_ONE,
        paper="Howard et al. 2019, arXiv:1905.02244",
        licence=_LICENCE,
        options={"alpha": 1.0},
        pretrained={"alpha": (0.75, 1.0)},
    ),
):
    ENCODERS.add(_spec.name, _spec)
