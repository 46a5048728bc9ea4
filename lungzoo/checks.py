"""What is refused before a run starts: settings, starts and data that cannot make one. Nothing here loads Keras."""

from __future__ import annotations

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.config import ExperimentConfig
from lungzoo.data.preprocess.grey import ranges_of
from lungzoo.data.preprocess.source import Source
from lungzoo.data.splits.audit import common_patients, recorded_audit, shared_patients, shared_volumes
from lungzoo.data.splits.split import PARTS, Split, needs_near, select_rows, split_dataset
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
    _check_second_stage(config)
    if config.train.jit_compile and config.train.deterministic:
        raise ConfigError(
            f"{config.arm}: train.jit_compile needs train.deterministic = false: while TensorFlow's operations are "
            "deterministic, Keras compiles nothing with XLA."
        )
    return config.model_copy(update={"transfer": transfer}), start


def check_experiment(
    config: ExperimentConfig,
    dataset: PreparedDataset,
    tracker: Tracker | None = None,
    allow_leakage: bool = False,
    parts: tuple[str, ...] = PARTS,
) -> ExperimentConfig:
    """Refuse an experiment that cannot run on a dataset, before anything is started; loads no Keras.

    Args:
        config: the experiment.
        dataset: the opened dataset.
        tracker: where the weights of "run:…" are.
        allow_leakage: let a split pass whose test part training has seen; `find_leakage` says what the record must.
        parts: those that the experiment reads; the masks of others are left unread.

    Returns:
        The experiment with its start and its split file pinned; see `check_settings`. Its fingerprint is the run's.

    Raises:
        UnknownNameError, ConfigError, WeightsMismatch: saying what is asked for and what there is.
    """
    config, start = check_settings(config, tracker)
    _check_channels(config, dataset)
    if config.model.classes != 1:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has one class of mask, lesion. "
            f"Received: model.classes = {config.model.classes}. Allowed: 1."
        )
    found = sorted(set(dataset.cases["label"]) - {""})
    if unknown := [label for label in config.labels if label not in found]:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has no case with the label '{unknown[0]}'. "
            f"Allowed in {_labels_key(config)}: {', '.join(found) or 'none, it has no labels'}."
        )
    if unknown := [label for label in config.data.labels if label not in found]:
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}' has no case with the label '{unknown[0]}'. "
            f"Allowed in data.labels: {', '.join(found) or 'none, it has no labels'}."
        )
    side = min(Source(dataset, config.data).shape_yx)
    for key, shift in (("augment.shift_px", config.augment.shift_px), ("score.shift_px", config.score.shift_px)):
        if shift >= side:
            raise ConfigError(f"{config.arm}: {key} must be smaller than the image side of {side}. Received: {shift}")
    split = split_dataset(dataset, config.data)
    if config.data.split_file or needs_near(dataset, config.data):
        pinned = config.data.model_copy(update={"split_sha256": split.fingerprint})
        config = config.model_copy(update={"data": pinned})
    check_leakage(start, split, dataset, allow_leakage)
    dataset = without_parts(dataset, split, parts)
    rows = select_rows(dataset, split, config.data)
    areas, smallest = dataset.lesion_px(config.data.consensus_readers), config.score.min_lesion_px
    for part in parts:
        if not (areas[rows[part]] >= smallest).any():
            raise ConfigError(
                f"{config.arm}: the {part} split of '{dataset.name}' has no slice with a lesion of at least {smallest} "
                "pixel(s). Lower score.min_lesion_px or data.consensus_readers, or use another data.split_seed."
            )
    learnt = set(dataset.cases["label"].iloc[rows["train"]])
    if unlearnt := [label for label in config.labels if label not in learnt]:
        raise ConfigError(
            f"{config.arm}: the train split of '{dataset.name}' has no case with the label '{unlearnt[0]}', so nothing "
            f"can learn it. Remove it from {_labels_key(config)}, or use another data.split_seed."
        )
    return config


def _labels_key(config: ExperimentConfig) -> str:
    return "classify.labels" if config.classify else "model.labels"


def _check_second_stage(config: ExperimentConfig) -> None:
    if config.classify is None:
        return
    CLASSIFIERS.get(config.classify.name).checked_options(dict(config.classify.options))
    if config.model.labels:
        raise ConfigError(
            f"{config.arm}: the label head and the second stage both name classes. Received: model.labels = "
            f"{list(config.model.labels)} beside classify.name = '{config.classify.name}'. Remove one of them."
        )


def without_parts(dataset: PreparedDataset, split: Split, parts: tuple[str, ...]) -> PreparedDataset:
    """Return the dataset with the masks of all other parts than these left unread."""
    shut = [split.rows(dataset.cases, part) for part in PARTS if part not in parts]
    return dataset.without(np.concatenate(shut)) if shut else dataset


def _check_channels(config: ExperimentConfig, dataset: PreparedDataset) -> None:
    channels = len(ranges_of(config.data, dataset.units))
    if config.model.in_channels != channels:
        windows = f" with {channels} data.windows" if config.data.windows else ""
        raise ConfigError(
            f"{config.arm}: the dataset '{dataset.name}'{windows} has {channels} channel(s) per slice. "
            f"Received: model.in_channels = {config.model.in_channels}. Allowed: {channels}."
        )
    if config.score.shift_px and Source(dataset, config.data).regrids:
        raise ConfigError(
            f"{config.arm}: slices that are cropped or resampled are scored on their own grid, unshifted. "
            f"Received: score.shift_px = {config.score.shift_px}. Allowed: 0."
        )


def stages_of(config: ExperimentConfig) -> tuple[Stage, ...]:
    """Return what trains when."""
    model = effective_model(config.model, config.transfer)
    return RECIPES.get(config.transfer.recipe).plan(config.transfer, MODELS.get(model.name).levels(model))


def leakage_warning(config: ExperimentConfig, dataset: PreparedDataset, tracker: Tracker | None = None) -> str:
    """Return what the record of an experiment must say of leakage, "" where there is none."""
    _, start = check_settings(config, tracker)
    return check_leakage(start, split_dataset(dataset, config.data), dataset, allow=True) or ""


def check_leakage(
    manifest: WeightsManifest | None, split: Split, dataset: PreparedDataset | None = None, allow: bool = False
) -> str | None:
    """Refuse a test split that training, or the weights it starts from, have seen.

    Args:
        manifest: of the weights; None for Keras's or none.
        split: the split of the run.
        dataset: its dataset; what `lungzoo data audit` found in it counts too.
        allow: return what was found instead of refusing it.

    Returns:
        What the record and the table must say; None where nothing leaks.

    Raises:
        ConfigError: something leaks, and that is not allowed.
    """
    found = find_leakage(manifest, split, dataset)
    if found and not allow:
        raise ConfigError("\n".join(found) + "\nTo run all the same: --allow-leakage; the table then says so.")
    return "Leakage was allowed, so the scores are too good. " + " ".join(found) if found else None


def find_leakage(manifest: WeightsManifest | None, split: Split, dataset: PreparedDataset | None = None) -> list[str]:
    """Return a sentence for everything that lets training see the test split; quick, so no search for duplicates."""
    found = []
    about = manifest.trained_on if manifest else None
    if manifest and about and (both := common_patients(manifest.seen, split.test)):
        own = common_patients(about.learnt_from, split.test)
        who = "" if own else ", or what they started from,"
        instead = f"the split they were trained with (data.split_seed = {about.split_seed})"
        found.append(
            f"The weights '{manifest.name}'{who} were trained on {len(both)} of the {len(split.test)} test patients, "
            f"such as {both[0]}. Use {instead if own else 'a split that tests none of them, or other weights'}."
        )
    shared = shared_patients(split)
    if dataset is not None:
        audit = recorded_audit(dataset, split)
        shared = list(audit.findings) if audit else [*shared, *shared_volumes(dataset, split)]
    if shared:
        found.append(
            f"The parts of the split share what they must not: {'; '.join(map(str, shared))}. "
            'Keep them together with data.groups = "near", or give such slices one patient id and import again.'
        )
    return found
