"""Fits a model stage by stage; every arm of every comparison goes through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lungzoo.config import ExperimentConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.events import Note, Observer
from lungzoo.models.levels import apply_stage
from lungzoo.models.transfer import Stage, schedule
from lungzoo.training.checkpoint import CheckpointFolder, Progress, write_variables
from lungzoo.training.trial import Trial

_CALIBRATION_BATCHES = 50


def fit(
    model: Any,
    pipeline: Pipeline,
    rows: dict[str, np.ndarray],
    stages: tuple[Stage, ...],
    config: ExperimentConfig,
    checkpoints: CheckpointFolder,
    observe: Observer,
    on_epoch: Callable[[int, dict[str, float]], None],
    trial: Trial | None = None,
) -> Progress:
    """Train, or go on training, and leave the model with the weights of its best validation epoch.

    Args:
        model: built, with a layer named "encoder".
        pipeline: the batches.
        rows: row numbers of the "train" and "val" parts.
        stages: what trains when.
        config: the experiment.
        checkpoints: an intact checkpoint there is continued.
        observe, on_epoch, trial: see `Watch`.

    Raises:
        DivergedError: the loss became NaN.
        StorageError: a checkpoint cannot be written.
    """
    from lungzoo.training.callbacks import Watch

    train = config.train
    set_batchnorm_momentum(model, train.batchnorm_momentum)
    steps = pipeline.steps_per_epoch(rows["train"])
    validation = pipeline.evaluation(rows["val"], config.score.shift_px, config.data.split_seed)
    validation = _for_outputs(model, validation).cache()
    progress, saved, best = checkpoints.load() or (Progress(), [], [])
    if saved:
        observe(Note(f"Continuing after epoch {progress.epoch} of {train.epochs}."))
    watch = Watch(progress, best, checkpoints, train.patience, observe, on_epoch, trial)
    last = watch.last = min(train.epochs, trial.until) if trial else train.epochs
    if trial and progress.stopped:
        progress.stopped = trial.stop(progress)  # there may be more time now
    for stage, start, end in schedule(stages, train.epochs):
        # A plateau ends the run in the last stage only: in an earlier one, what is to come has not trained yet.
        watch.patience, watch.stage_start = train.patience if end == train.epochs else None, start
        if progress.epoch >= min(end, last) or progress.stopped or progress.exhausted(watch.patience, start):
            continue
        if stage.calibrates and progress.epoch == start:
            _calibrate(model, pipeline.training(rows["train"], config.augment, train.train_seed, start, end))
        _prepare_stage(model, stage, config, steps, end - start)
        if saved:
            # At the start of a stage only the model goes on; the optimiser is a new one.
            optimizer = [] if progress.epoch == start else model.optimizer.variables
            write_variables([*model.variables, *optimizer], saved[: len(model.variables) + len(optimizer)])
            saved = []
        batches = pipeline.training(rows["train"], config.augment, train.train_seed, progress.epoch, min(end, last))
        model.fit(
            _for_outputs(model, batches),
            initial_epoch=progress.epoch,
            epochs=min(end, last),
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[watch],
            shuffle=False,
            verbose=0,
        )
    if trial and saved:  # nothing was left to train; another trial may go on from this one all the same
        checkpoints.save(progress, saved, watch.best)
    apply_stage(model, stages[-1])
    write_variables(model.weights, watch.best)
    return progress


def _calibrate(model: Any, batches: Any) -> None:
    """Let the encoder's BatchNorm statistics settle on training batches, without training anything."""
    encoder = model.get_layer("encoder")
    encoder.trainable = True
    pad = model.get_layer("pad")
    for image, _, _ in batches.take(_CALIBRATION_BATCHES).as_numpy_iterator():
        encoder(pad(image), training=True)


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


def _for_outputs(model: Any, batches: Any) -> Any:
    from lungzoo.training.objectives import targets

    return batches.map(lambda image, mask, label: (image, targets(model, mask, label)))


def _prepare_stage(model: Any, stage: Stage, config: ExperimentConfig, steps_per_epoch: int, epochs: int) -> None:
    from lungzoo.training.objectives import objectives
    from lungzoo.training.optim import make_optimizer

    factors = apply_stage(model, stage)
    optimizer = make_optimizer(config.train, steps_per_epoch, epochs)
    model.compile(optimizer=optimizer, jit_compile=config.train.jit_compile, **objectives(model, config))
    # Mixed precision wraps the optimiser; ours is the inner one.
    getattr(model.optimizer, "inner_optimizer", model.optimizer).build_with(model.trainable_variables, factors)
    model.optimizer.build(model.trainable_variables)
