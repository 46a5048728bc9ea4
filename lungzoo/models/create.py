"""Models and encoders by name, for use without the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lungzoo.config import Attention, ModelConfig, Normalisation, TrainConfig, TransferConfig, Upsampling
from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import build_encoder
from lungzoo.errors import ConfigError
from lungzoo.models.fetching import fetching
from lungzoo.models.starts import build_started, check_start
from lungzoo.models.zoo import MODELS
from lungzoo.schema import Option, parse


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the models that match a shell-style pattern, such as "unet_*", sorted."""
    return MODELS.names(pattern)


def create_model(
    name: str,
    *,
    weights: str | None = None,
    in_channels: int = 1,
    classes: int = 1,
    in_slices: int = 1,
    labels: Sequence[str] = (),
    encoder_options: Mapping[str, Option] | None = None,
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] | None = None,
    decoder_convs: int = 2,
    decoder_norm: Normalisation = "batch",
    decoder_attention: Attention = "none",
    decoder_dropout: float = 0.0,
    decoder_upsampling: Upsampling = "nearest",
    deep_supervision: bool = False,
    new_head: bool = False,
) -> Any:
    """Build a model by name; see `lungzoo list models`.

    Args:
        name: a row of the zoo, such as "unet_mobilenetv2".
        weights: None (random), pretrained encoder weights ("imagenet", "lidc"), a whole model ("lungzoo:NAME"), or the
            path of a weights file (.npz, its manifest beside it).
        in_channels: channels of a slice.
        classes: 1 is lesion or not (sigmoid), n are exclusive classes with background first (softmax).
        in_slices: odd number of neighbouring slices seen at once: channels of a 2D model, depth of a 3D one.
        labels: names of the classes of a label head; empty for none.
        encoder_options, encoder_depth: of the encoder; see `lungzoo list encoders`.
        decoder_channels: widths, deepest first; None takes the decoder's own.
        decoder_convs: 3×3 convolutions per decoder block.
        decoder_norm: "batch", "group" or "instance".
        decoder_attention: "none" or "scse".
        decoder_dropout: share of feature channels dropped before the head while training, in [0, 1).
        decoder_upsampling: "nearest", "bilinear" or "transpose".
        deep_supervision: add auxiliary mask heads.
        new_head: with the weights of a whole model, start the heads anew.

    Returns:
        A plain `keras.Model`: float images (B, H, W, in_slices · in_channels) in [0, 1] -> logits (B, H, W, classes),
        for any H and W; with a label head or deep supervision a dict of "mask", "label", "aux_P1", …

    Raises:
        UnknownNameError, ConfigError: no such model, size, option or weights.
        WeightsUnavailable: the weights exist but cannot be had here.
    """
    settings = {
        "name": name,
        "in_channels": in_channels,
        "classes": classes,
        "in_slices": in_slices,
        "labels": tuple(labels),
        "encoder_options": dict(encoder_options or {}),
        "encoder_depth": encoder_depth,
        "decoder_channels": None if decoder_channels is None else tuple(decoder_channels),
        "decoder_convs": decoder_convs,
        "decoder_norm": decoder_norm,
        "decoder_attention": decoder_attention,
        "decoder_dropout": decoder_dropout,
        "decoder_upsampling": decoder_upsampling,
        "deep_supervision": deep_supervision,
    }
    config = parse(ModelConfig, settings, "create_model")
    recipe = "finetune" if weights else "scratch"
    transfer = TransferConfig(recipe=recipe, weights=weights, new_head=new_head)
    check_start(config, transfer)
    return build_started(config, transfer, _no_runs)


def create_loss(loss: str | Mapping[str, Any]) -> Any:
    """Return a loss for `model.compile`; see `lungzoo list losses`.

    Args:
        loss: a name, or several by weight: {"dice": 1.0, "focal": {"weight": 0.5, "gamma": 3.0}}.

    Returns:
        A `keras.losses.Loss`, saved with a compiled model; y_pred are logits (B, H, W, C),
        y_true is in {0, 1} of that shape.

    Raises:
        UnknownNameError, ConfigError: no such loss or option.
    """
    from lungzoo.models.loss import CombinedLoss

    terms = parse(TrainConfig, {"loss": loss if isinstance(loss, str) else dict(loss)}, "create_loss").loss
    return CombinedLoss([term.model_dump(mode="json") for term in terms])


def create_encoder(
    name: str,
    *,
    weights: str | None = None,
    in_channels: int = 1,
    depth: int = 5,
    options: Mapping[str, Option] | None = None,
) -> Any:
    """Build an encoder by name; see `lungzoo list encoders`.

    Args:
        name: such as "resnet50".
        weights: None or pretrained weights, such as "imagenet".
        in_channels: channels of the image; with 1, or equal channels, it gives the features of the grey RGB image.
        depth: deepest level, 1 to 5.
        options: settings that the encoder declares, such as {"alpha": 0.35}.

    Returns:
        A `keras.Model`: float images (B, H, W, in_channels) in [0, 1], sides multiples of 2^depth ->
        {"P1": (B, H/2, W/2, c₁), …}.

    Raises:
        UnknownNameError, ConfigError, WeightsUnavailable: as `create_model`.
    """
    spec = ENCODERS.get(name)
    spec.check_weights(weights, spec.checked_options(options or {}))
    with fetching(name, weights):
        return build_encoder(spec, in_channels, weights, options, depth)


def _no_runs(run: str) -> Any:
    raise ConfigError(
        f"The weights of run '{run}' are in the tracking store. Give its weights folder to lungzoo.load, or "
        f"start a run from them: lungzoo train … --transfer run:{run}-finetune"
    )
