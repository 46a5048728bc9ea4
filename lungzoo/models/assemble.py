"""Encoder + decoder + heads -> keras.Model."""

from __future__ import annotations

import math
from typing import Any

from lungzoo.config import ModelConfig
from lungzoo.models.zoo import MODELS

# A new model starts out expecting lesion in one pixel of a hundred: Lin et al. 2017, arXiv:1708.02002, section 3.3.
_PRIOR = 0.01


def build_model(config: ModelConfig, weights: str | None = None) -> Any:
    """Build a model.

    Args:
        config: which model, with its sizes.
        weights: None for random weights, or the name of pretrained encoder weights.

    Returns:
        A `keras.Model`: (None, H, W, in_slices · in_channels) in [0, 1] -> logits (None, H, W, classes), for any H and
        W; a 3D model takes and gives (None, D, H, W, …). `model.get_layer("encoder")` is the encoder. With a label head
        or deep supervision it gives a dict: "mask", "label" with logits (None, labels), and "aux_P1", … like "mask".

    Raises:
        UnknownNameError, ConfigError: no such model, size, option or weights.
        WeightsUnavailable: the weights exist but cannot be had here.
    """
    import keras

    from lungzoo.models.layers import PadToStride

    spec = MODELS.get(config.name)
    spec.check(config, weights)
    parts = spec.build(config, weights)
    image = keras.Input(parts.encoder.input_shape[1:], name="image")
    pyramid = parts.encoder(PadToStride(parts.stride, name="pad")(image))
    decoded = parts.decode(pyramid)
    outputs = {"mask": _mask(decoded.features, 1, config, image, "")}
    for level, features in decoded.auxiliary.items():
        outputs[f"aux_{level}"] = _mask(features, parts.strides[level], config, image, f"aux_{level}")
    if config.labels:
        outputs["label"] = _label(pyramid, len(config.labels))
    return keras.Model(image, outputs if len(outputs) > 1 else outputs["mask"], name=config.name.replace("/", "_"))


def _mask(features: Any, stride: Any, config: ModelConfig, image: Any, level: str) -> Any:
    """Features -> logits at the size of the image; `level` is "" for the main head, else names an auxiliary one."""
    from keras import layers

    from lungzoo.models.layers import CropLike

    volume = len(features.shape) == 5
    convolution, growth = (layers.Conv3D, layers.UpSampling3D) if volume else (layers.Conv2D, layers.UpSampling2D)
    name = f"{level}_head" if level else "head"
    head = convolution(config.classes, 1 if level else 3, padding="same", dtype="float32", name=name)
    logits = head(features)
    head.bias.assign(_rare(config.classes))
    if level:
        logits = growth(stride, dtype="float32", name=f"{level}_up")(logits)
    return CropLike(dtype="float32", name=level or "mask")([logits, image])


def _rare(classes: int) -> list[float]:
    """Biases that make a new head expect lesion in one pixel of a hundred."""
    if classes == 1:
        return [math.log(_PRIOR / (1 - _PRIOR))]
    return [math.log(1 - _PRIOR), *[math.log(_PRIOR / (classes - 1))] * (classes - 1)]


def _label(pyramid: dict[str, Any], labels: int) -> Any:
    """Deepest features -> logits of the image's class."""
    from keras import layers

    deepest = pyramid[max(pyramid)]
    pool = layers.GlobalAveragePooling3D if len(deepest.shape) == 5 else layers.GlobalAveragePooling2D
    pooled = pool(name="label_pool")(deepest)
    return layers.Dense(labels, dtype="float32", name="label")(pooled)
