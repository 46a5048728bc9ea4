"""Fits a model stage by stage; every arm of every comparison goes through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lungzoo.config import ExperimentConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.events import Note, Observer
from lungzoo.losses import LOSSES
from lungzoo.models.transfer import Stage
from lungzoo.training.checkpoint import CheckpointFolder, Progress, write_variables
from lungzoo.training.optim import make_optimizer


def fit(
    model: Any,
    pipeline: Pipeline,
    rows: dict[str, np.ndarray],
    stages: tuple[Stage, ...],
    config: ExperimentConfig,
    checkpoints: CheckpointFolder,
    observe: Observer,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> Progress:
    """Train, or go on training, and leave the model with the weights of its best validation epoch.

    Args:
        model: built, with a layer named "encoder".
        pipeline: the batches.
        rows: row numbers of the "train" and "val" parts.
        stages: what trains when.
        config: the experiment.
        checkpoints: an intact checkpoint there is continued.
        observe, on_epoch: see `Watch`.

    Raises:
        LungzooError: the loss became NaN.
        StorageError: a checkpoint cannot be written.
    """
    from lungzoo.training.callbacks import Watch

    train = config.train
    set_batchnorm_momentum(model, train.batchnorm_momentum)
    steps = pipeline.steps_per_epoch(rows["train"])
    validation = pipeline.evaluation(rows["val"], config.score.shift_px, config.data.split_seed).cache()
    progress, saved, best = checkpoints.load() or (Progress(), [], [])
    if saved:
        observe(Note(f"Continuing after epoch {progress.epoch} of {train.epochs}."))
    watch = Watch(progress, best, checkpoints, train.patience, observe, on_epoch)
    for stage, start, end in _stage_epochs(stages, train.epochs):
        if progress.epoch >= end or progress.exhausted(train.patience):
            continue
        _prepare_stage(model, stage, config, steps, end - start)
        if saved:
            write_variables([*model.variables, *model.optimizer.variables], saved)
            saved = []
        model.fit(
            pipeline.training(rows["train"], config.augment, train.train_seed, progress.epoch, end),
            initial_epoch=progress.epoch,
            epochs=end,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[watch],
            shuffle=False,
            verbose=0,
        )
    write_variables(model.weights, watch.best)
    return progress


def set_batchnorm_momentum(model: Any, momentum: float) -> None:
    """Give every BatchNorm layer the same momentum.

    MobileNetV2 comes with 0.999: after a few short epochs its moving statistics have not settled and validation scores
    mean nothing. Set alike in every arm, it is no advantage of any.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
        elif isinstance(layer, keras.Model):
            set_batchnorm_momentum(layer, momentum)


def _prepare_stage(model: Any, stage: Stage, config: ExperimentConfig, steps_per_epoch: int, epochs: int) -> None:
    from lungzoo.metrics.streaming import CaseDice

    train, score = config.train, config.score
    model.get_layer("encoder").trainable = stage.encoder_trains
    model.compile(
        optimizer=make_optimizer(train, steps_per_epoch, epochs),
        loss=LOSSES.get(train.loss),
        metrics=[CaseDice(score.threshold, score.min_lesion_px)],
        jit_compile=train.jit_compile,
    )
    model.optimizer.build(model.trainable_variables)


def _stage_epochs(stages: tuple[Stage, ...], epochs: int) -> list[tuple[Stage, int, int]]:
    """Return (stage, first epoch, end epoch); every epoch belongs to one stage."""
    ends = np.round(np.cumsum([stage.share for stage in stages]) * epochs).astype(int)
    ends[-1] = epochs
    starts = [0, *ends[:-1]]
    return [(stage, int(start), int(end)) for stage, start, end in zip(stages, starts, ends, strict=True)]
