"""Where a model's weights come from before training: nowhere, a pretrained encoder, or a whole trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lungzoo.config import ModelConfig, TransferConfig
from lungzoo.errors import ConfigError, WeightsMismatch
from lungzoo.models.assemble import build_model
from lungzoo.models.load import all_options, find_start, load_into, published_starts, resolve
from lungzoo.models.transfer import RECIPES
from lungzoo.models.zoo import MODELS
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest

# Settings that must agree before one model's weights can be another's; the heads' are apart.
_BODY = (
    "name",
    "encoder_options",
    "encoder_depth",
    "decoder_convs",
    "decoder_norm",
    "decoder_attention",
    "decoder_upsampling",
)
_HEADS = ("classes", "labels")


def effective_model(config: ModelConfig, transfer: TransferConfig) -> ModelConfig:
    """Return the model that a recipe really trains: a linear probe has another decoder.

    Raises:
        ConfigError: the model's encoder has no such decoder.
    """
    decoder = RECIPES.get(transfer.recipe).decoder
    if decoder is None:
        return config
    spec = MODELS.get(config.name)
    for name, other in MODELS.items():
        if (other.encoder, other.decoder, other.provider) == (spec.encoder, decoder, spec.provider):
            return config.model_copy(update={"name": name, "decoder_channels": None, "deep_supervision": False})
    raise ConfigError(
        f"Transfer recipe '{transfer.recipe}' puts the decoder '{decoder}' on the encoder, which cannot be done with "
        f"'{config.name}'. Choose one of: lungzoo list models '{decoder}_*'"
    )


def check_start(config: ModelConfig, transfer: TransferConfig) -> None:
    """Raise UsageError for a model, a recipe or a start that cannot be had; loads no Keras, fetches nothing."""
    RECIPES.get(transfer.recipe).check(transfer)
    config = effective_model(config, transfer)
    manifest = None if transfer.starts_from == "run" else _manifest(config, transfer)
    pretrained = transfer.starts_from == "encoder" and manifest is None
    spec = MODELS.get(config.name)
    if pretrained and transfer.weights in published_starts().get(spec.encoder, ()):
        raise ConfigError(
            f"The published '{transfer.weights}' weights of encoder '{spec.encoder}' are those of other options or "
            "less depth. See what they are of: lungzoo weights list"
        )
    spec.check(config, transfer.weights if pretrained else None)
    if manifest and transfer.starts_from != "encoder":
        _check_fits(manifest, config, transfer)


def start_manifest(config: ModelConfig, transfer: TransferConfig) -> WeightsManifest | None:
    """Return what is known of the weights that a transfer starts from; None for a run's, Keras's or none."""
    return None if transfer.starts_from == "run" else _manifest(effective_model(config, transfer), transfer)


def build_started(config: ModelConfig, transfer: TransferConfig, run_folder: Callable[[str], Path]) -> Any:
    """Build a model with the weights that a transfer starts from.

    Args:
        config: which model, with its sizes.
        transfer: checked by `check_start`.
        run_folder: function from the id of a finished run to a folder with its weights and their manifest.

    Raises:
        WeightsUnavailable: the weights exist but cannot be had here.
        WeightsMismatch: they are another architecture's.
    """
    config, source = effective_model(config, transfer), transfer.weights
    if transfer.starts_from == "run":
        folder = run_folder(str(source).removeprefix("run:"))
        _check_fits(resolve(folder)[0], config, transfer)
        source = str(folder)
    elif transfer.starts_from == "encoder":
        manifest = _manifest(config, transfer)
        if manifest is None:
            return build_model(config, source)
        source = hub.PREFIX + manifest.name
    model = build_model(config)
    if source is not None:
        load_into(model, source, part="encoder" if _encoder_only(transfer) else "all", new_head=transfer.new_head)
    return model


def _encoder_only(transfer: TransferConfig) -> bool:
    return transfer.starts_from == "encoder" or RECIPES.get(transfer.recipe).decoder is not None


def _manifest(config: ModelConfig, transfer: TransferConfig) -> WeightsManifest | None:
    """Return the manifest of published weights or of a weights file; None where Keras or nobody has the weights."""
    weights = transfer.weights
    if weights is None:
        return None
    if transfer.starts_from == "file":
        return resolve(Path(weights))[0]
    if transfer.starts_from == "lungzoo":
        return hub.find(weights)
    return find_start(MODELS.get(config.name).encoder, dict(config.encoder_options), config.encoder_depth, weights)


def _check_fits(manifest: WeightsManifest, config: ModelConfig, transfer: TransferConfig) -> None:
    theirs = manifest.model
    if _encoder_only(transfer):
        same = MODELS.get(theirs.name).encoder == MODELS.get(config.name).encoder
        keys: tuple[str, ...] = ("encoder_options",) if same else ("name",)
    else:
        keys = _BODY if transfer.new_head else (*_BODY, *_HEADS)
    wrong = [key for key in keys if _value(theirs, key) != _value(config, key)]
    if wrong:
        has = ", ".join(f"{key} = {_shown(getattr(theirs, key))}" for key in wrong)
        wants = ", ".join(f"{key} = {_shown(getattr(config, key))}" for key in wrong)
        hint = " Set transfer.new_head = true to start the heads anew." if set(wrong) <= set(_HEADS) else ""
        raise WeightsMismatch(
            f"The weights '{manifest.name}' are those of a model with {has}. Received: {wants}.{hint}"
        )


def _value(config: ModelConfig, key: str) -> Any:
    """A setting to compare; encoder options with their defaults filled in."""
    if key != "encoder_options":
        return getattr(config, key)
    return all_options(MODELS.get(config.name).encoder, dict(config.encoder_options))


def _shown(value: Any) -> Any:
    return dict(value) if isinstance(value, tuple) and value and isinstance(value[0], tuple) else value
