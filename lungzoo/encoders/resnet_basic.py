"""ResNet-18 and -34: pre-activated residual networks of plain blocks, on any Keras backend.

Layers and variables are those of the package `classification_models`, whose ImageNet weights they take.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import Skips, graft, scaled
from lungzoo.encoders.h5_weights import load_by_layer

_RELEASE = "https://github.com/qubvel/classification_models/releases/download/0.0.1"

# The first block of a stage normalises what comes in before it halves: the deepest features at that resolution.
_SKIPS: Skips = {
    "P1": "relu0",
    "P2": "stage2_unit1_relu1",
    "P3": "stage3_unit1_relu1",
    "P4": "stage4_unit1_relu1",
    "P5": "relu1",
}


class _File(NamedTuple):
    name: str
    md5: str


def _backbone(
    rgb: Any, levels: tuple[str, ...], weights: str | None, units: tuple[int, ...], file: _File
) -> dict[str, Any]:
    import keras

    reference = resnet(units)
    if weights is not None:
        path = keras.utils.get_file(file.name, f"{_RELEASE}/{file.name}", cache_subdir="models", file_hash=file.md5)
        load_by_layer(reference, path, file.md5)
    # Its own BatchNorm `bn_data` normalises 0..255.
    return graft(reference, scaled(rgb, (0.0,) * 3, (1 / 255,) * 3), levels, _SKIPS, weights)


def resnet(units: tuple[int, ...]) -> Any:
    """Return the network without its classifier, for RGB in 0..255.

    Args:
        units: residual units of each of the four stages.
    """
    import keras
    from keras import layers

    image = keras.Input((None, None, 3), name="data")
    x = _norm("bn_data", scale=False)(image)
    x = _conv(x, "conv0", 64, size=7, strides=2)
    x = layers.Activation("relu", name="relu0")(_norm("bn0")(x))
    x = layers.ZeroPadding2D(1, name="pooling0_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pooling0")(x)
    for stage, count in enumerate(units, 1):
        for unit in range(1, count + 1):
            halves = unit == 1 and stage > 1
            x = _unit(x, f"stage{stage}_unit{unit}_", 32 * 2**stage, 2 if halves else 1, projected=unit == 1)
    x = layers.Activation("relu", name="relu1")(_norm("bn1")(x))
    return keras.Model(image, x, name="resnet")


def _unit(x: Any, prefix: str, filters: int, strides: int, projected: bool) -> Any:
    from keras import layers

    active = layers.Activation("relu", name=f"{prefix}relu1")(_norm(f"{prefix}bn1")(x))
    shortcut = _conv(active, f"{prefix}sc", filters, size=1, strides=strides) if projected else x
    y = _conv(active, f"{prefix}conv1", filters, size=3, strides=strides)
    y = layers.Activation("relu", name=f"{prefix}relu2")(_norm(f"{prefix}bn2")(y))
    y = _conv(y, f"{prefix}conv2", filters, size=3)
    return layers.Add(name=f"{prefix}add")([y, shortcut])


def _norm(name: str, scale: bool = True) -> Any:
    from keras import layers

    return layers.BatchNormalization(momentum=0.99, epsilon=2e-5, scale=scale, name=name)


def _conv(x: Any, name: str, filters: int, size: int, strides: int = 1) -> Any:
    """Convolve with symmetric padding, as the weights were trained; "same" pads strided ones to one side."""
    from keras import layers

    if size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(filters, size, strides, use_bias=False, kernel_initializer="he_uniform", name=name)(x)


for _depth, _units, _md5 in (
    (18, (2, 2, 2, 2), "318e3ac0cd98d51e917526c9f62f0b50"),
    (34, (3, 4, 6, 3), "8caaa0ad39d927cb8ba5385bf945d582"),
):
    ENCODERS.add(
        f"resnet{_depth}",
        EncoderSpec(
            name=f"resnet{_depth}",
            title=f"ResNet-{_depth}",
            family="resnet_basic",
            backbone=partial(_backbone, units=_units, file=_File(f"resnet{_depth}_imagenet_1000_no_top.h5", _md5)),
            weights=("imagenet",),
            source=f"{_RELEASE}",
            scaling="[0, 1] to 0..255, normalised by the network's first BatchNorm",
            paper="He et al. 2015, arXiv:1512.03385; He et al. 2016, arXiv:1603.05027 (pre-activation)",
            licence="Apache-2.0; ImageNet weights MIT (classification_models)",
        ),
    )
