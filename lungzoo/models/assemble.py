"""Encoder + decoder + head -> keras.Model."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

from lungzoo.config import ModelConfig, TransferConfig
from lungzoo.decoders import DECODERS
from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import build_encoder
from lungzoo.errors import ConfigError
from lungzoo.models.transfer import RECIPES
from lungzoo.models.weights import fetching
from lungzoo.models.zoo import MODELS

# A new model starts out expecting lesion in one pixel of a hundred: Lin et al. 2017, arXiv:1708.02002, section 3.3.
_PRIOR = 0.01


def check_model(config: ModelConfig, transfer: TransferConfig) -> None:
    """Raise UnknownNameError or ConfigError for a model that cannot be built; loads no Keras."""
    spec = MODELS.get(config.name)
    encoder = ENCODERS.get(spec.encoder)
    options = encoder.checked_options(dict(config.encoder_options))
    encoder.check_weights(transfer.weights, options)
    RECIPES.get(transfer.recipe).check(transfer)
    deepest = f"P{config.encoder_depth}"
    if deepest not in encoder.levels:
        raise ConfigError(f"Encoder '{spec.encoder}' has no level {deepest}. Allowed: {', '.join(encoder.levels)}.")


def build_model(config: ModelConfig, weights: str | None = None) -> Any:
    """Build a segmentation model.

    Args:
        config: which model, with its sizes.
        weights: None for random encoder weights, or the name of pretrained ones.

    Returns:
        A `keras.Model`: (None, H, W, in_channels) in [0, 1] -> logits (None, H, W, classes), for any H and W.
        `model.get_layer("encoder")` is the encoder.

    Raises:
        UnknownNameError, ConfigError: see `check_model`.
        WeightsUnavailable: the weights exist but cannot be had here.
    """
    import keras

    from lungzoo.models.layers import CropLike, PadToStride

    spec = MODELS.get(config.name)
    encoder_spec = ENCODERS.get(spec.encoder)
    with fetching(spec.encoder, weights) if weights else nullcontext():
        encoder = build_encoder(
            encoder_spec, config.in_channels, weights, dict(config.encoder_options), config.encoder_depth
        )
    image = keras.Input((None, None, config.in_channels), name="image")
    pyramid = encoder(PadToStride(2**config.encoder_depth, name="pad")(image))
    features = DECODERS.get(spec.decoder)(pyramid, channels=config.decoder_channels, convs=config.decoder_convs)
    rare = keras.initializers.Constant(math.log(_PRIOR / (1 - _PRIOR)))
    head = keras.layers.Conv2D(config.classes, 3, padding="same", bias_initializer=rare, dtype="float32", name="head")
    logits = head(features)
    mask = CropLike(dtype="float32", name="mask")([logits, image])
    return keras.Model(image, mask, name=config.name)
