"""What is refused before a run starts: settings, starts and data that cannot make one. Nothing here loads Keras."""

from __future__ import annotations

from lungzoo.config import ExperimentConfig
from lungzoo.data.split import PARTS, Split, select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError
from lungzoo.losses.combine import check_terms
from lungzoo.models.starts import check_start, effective_model
from lungzoo.models.transfer import RECIPES, Stage, schedule
from lungzoo.models.zoo import MODELS
from lungzoo.tracking.tracker import Tracker
from lungzoo.weights.manifest import WeightsManifest


def check_settings(
    config: ExperimentConfig, tracker: Tracker | None = None
) -> tuple[ExperimentConfig, WeightsManifest | None]:
    """Refuse a model, transfer or loss that does not exist, and pin the weights that training starts from.

    Args:
        config: the experiment.
        tracker: where the weights of "run:…" are; without it they are not looked at.

    Returns:
        The experiment with the sha256 of its start and the whole id of the run that is meant, and what is known of the
        start: None for Keras's weights or none.

    Raises:
        UnknownNameError, ConfigError, WeightsMismatch: saying what is asked for and what there is.
    """
    transfer = config.transfer
    if transfer.starts_from == "run" and tracker is not None:
        run_id = tracker.find_run(str(transfer.weights).removeprefix("run:"))
        transfer = transfer.model_copy(update={"weights": f"run:{run_id}"})
    start = check_start(config.model, transfer, tracker.weights_manifest if tracker else None)
    if start is not None:
        transfer = transfer.model_copy(update={"sha256": start.sha256})
    schedule(stages_of(config), config.train.epochs)
    check_terms(config.train.loss)
    return config.model_copy(update={"transfer": transfer}), start


def check_experiment(
    config: ExperimentConfig, dataset: PreparedDataset, tracker: Tracker | None = None
) -> ExperimentConfig:
    """Refuse an experiment that cannot run on a dataset, before anything is started; loads no Keras.

    Returns:
        The experiment with its start pinned; see `check_settings`. Its fingerprint is the run's.

    Raises:
        UnknownNameError, ConfigError, WeightsMismatch: saying what is asked for and what there is.
    """
    config, start = check_settings(config, tracker)
    if config.model.in_channels != 1:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has 1 channel per slice. "
            f"Received: model.in_channels = {config.model.in_channels}. Allowed: 1."
        )
    if config.model.classes != 1:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has one class of mask, lesion. "
            f"Received: model.classes = {config.model.classes}. Allowed: 1."
        )
    found = sorted(set(dataset.cases["label"]) - {""})
    if unknown := [label for label in config.model.labels if label not in found]:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has no case with the label '{unknown[0]}'. "
            f"Allowed in model.labels: {', '.join(found) or 'none, it has no labels'}."
        )
    side = min(dataset.images.shape[1:])
    for key, shift in (("augment.shift_px", config.augment.shift_px), ("score.shift_px", config.score.shift_px)):
        if shift >= side:
            raise ConfigError(f"{config.arm}: {key} must be smaller than the image side of {side}. Received: {shift}")
    split = split_patients(dataset.cases, config.data, dataset.fingerprint)
    check_leakage(start, split)
    rows = select_rows(dataset, split, config.data)
    areas, smallest = dataset.lesion_px(config.data.consensus_readers), config.score.min_lesion_px
    for part in PARTS:
        if not (areas[rows[part]] >= smallest).any():
            raise ConfigError(
                f"{config.arm}: the {part} split of '{dataset.name}' has no slice with a lesion of at least {smallest} "
                "pixel(s). Lower score.min_lesion_px or data.consensus_readers, or use another data.split_seed."
            )
    return config


def stages_of(config: ExperimentConfig) -> tuple[Stage, ...]:
    """Return what trains when."""
    model = effective_model(config.model, config.transfer)
    return RECIPES.get(config.transfer.recipe).plan(config.transfer, MODELS.get(model.name).levels(model))


def check_leakage(manifest: WeightsManifest | None, split: Split) -> None:
    """Refuse weights that have seen patients of the test split; raises ConfigError."""
    if manifest is None or manifest.trained_on is None:
        return
    seen = {*manifest.trained_on.patients.train, *manifest.trained_on.patients.val}
    if both := sorted(seen & set(split.test)):
        raise ConfigError(
            f"The weights '{manifest.name}' were trained on {len(both)} of the {len(split.test)} test patients, such "
            f"as {both[0]}. Use the split they were trained with (data.split_seed = {manifest.trained_on.split_seed})."
        )
