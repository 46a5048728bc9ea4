"""Where a model's weights come from before training: nowhere, a pretrained encoder, or a whole trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lungzoo.config import ModelConfig, TransferConfig
from lungzoo.errors import ConfigError, UnknownNameError, WeightsMismatch, did_you_mean
from lungzoo.models.assemble import build_model
from lungzoo.models.load import all_options, find_start, load_into, published_starts, resolve
from lungzoo.models.transfer import RECIPES, Recipe
from lungzoo.models.zoo import MODELS
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest

# Settings that must agree before one model's weights can be another's; the heads' are apart.
_BODY = (
    "name",
    "encoder_options",
    "encoder_depth",
    "decoder_channels",
    "decoder_convs",
    "decoder_norm",
    "decoder_attention",
    "decoder_upsampling",
    "in_channels",
)
_BODY_2D = (*_BODY, "in_slices")  # a 3D model of another patch may have the same weights
_HEADS = ("classes", "labels", "deep_supervision")


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


def check_start(
    config: ModelConfig, transfer: TransferConfig, of_run: Callable[[str], WeightsManifest] | None = None
) -> WeightsManifest | None:
    """Check a model, a recipe and a start; loads no Keras, fetches nothing.

    Args:
        config: which model, with its sizes.
        transfer: where its weights come from.
        of_run: function from the id of a finished run to the manifest of its weights; without it "run:…" is not looked
            at.

    Returns:
        What is known of the weights that training starts from; None for Keras's own or none.

    Raises:
        UsageError: they cannot be had.
        WeightsMismatch: they are another architecture's, or have changed since they were pinned.
    """
    _recipe(transfer).check(transfer)
    config = effective_model(config, transfer)
    manifest = _manifest(config, transfer, of_run)
    pretrained = transfer.starts_from == "encoder" and manifest is None
    spec = MODELS.get(config.name)
    if pretrained and transfer.weights in published_starts().get(spec.encoder, ()):
        raise ConfigError(
            f"The published '{transfer.weights}' weights of encoder '{spec.encoder}' are those of other options or "
            "less depth. See what they are of: lungzoo weights list --json; set model.encoder_options and "
            "model.encoder_depth alike."
        )
    spec.check(config, transfer.weights if pretrained else None)
    if manifest and transfer.starts_from != "encoder":
        _check_fits(manifest, config, transfer)
    if transfer.sha256 is not None and (manifest is None or manifest.sha256 != transfer.sha256):
        found = f"sha256 {manifest.sha256[:12]}…" if manifest else "no file of lungzoo's"
        raise WeightsMismatch(
            f"The weights '{transfer.weights}' are not those that transfer.sha256 names, {transfer.sha256[:12]}…. "
            f"Received: {found}. Remove transfer.sha256 to take them all the same."
        )
    return manifest


def _recipe(transfer: TransferConfig) -> Recipe:
    try:
        return RECIPES.get(transfer.recipe)
    except UnknownNameError as error:
        if did_you_mean(transfer.recipe, RECIPES.names()):
            raise
        raise ConfigError(f"{error}. A start is written with its recipe: '{transfer.slug}-finetune'.") from None


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
        manifest = _manifest(config, transfer, None)
        if manifest is None:
            return build_model(config, source)
        source = hub.PREFIX + manifest.name
    model = build_model(config)
    if source is not None:
        load_into(model, source, part="encoder" if _encoder_only(transfer) else "all", new_head=transfer.new_head)
    return model


def _encoder_only(transfer: TransferConfig) -> bool:
    return transfer.starts_from == "encoder" or RECIPES.get(transfer.recipe).decoder is not None


def _manifest(
    config: ModelConfig, transfer: TransferConfig, of_run: Callable[[str], WeightsManifest] | None
) -> WeightsManifest | None:
    """Return the manifest of the weights; None where Keras or nobody has them, or nobody can tell."""
    weights = transfer.weights
    if weights is None:
        return None
    if transfer.starts_from == "run":
        return of_run(weights.removeprefix("run:")) if of_run else None
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
        body = _BODY_2D if MODELS.get(config.name).dims == 2 else _BODY
        keys = body if transfer.new_head else (*body, *_HEADS)
    wrong = [key for key in keys if _value(theirs, key) != _value(config, key)]
    if wrong:
        has = ", ".join(f"{key} = {_shown(_value(theirs, key))}" for key in wrong)
        wants = ", ".join(f"{key} = {_shown(_value(config, key))}" for key in wrong)
        hint = " Set transfer.new_head = true to start the heads anew." if set(wrong) <= set(_HEADS) else ""
        raise WeightsMismatch(
            f"The weights '{manifest.name}' are those of a model with {has}. Received: {wants}.{hint}"
        )


def _value(config: ModelConfig, key: str) -> Any:
    """A setting to compare; those left out have their defaults."""
    if key == "decoder_channels":
        return MODELS.get(config.name).widths(config)
    if key != "encoder_options":
        return getattr(config, key)
    return all_options(MODELS.get(config.name).encoder, dict(config.encoder_options))


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
