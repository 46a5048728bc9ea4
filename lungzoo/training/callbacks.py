"""What happens around each step and epoch: events, best weights, early stopping, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from lungzoo.errors import DivergedError
from lungzoo.events import EpochDone, Observer, StepDone
from lungzoo.training.checkpoint import CheckpointFolder, Progress, Values, read_variables
from lungzoo.training.trial import Trial

_STEP_EVENT_S = 0.2
_CHECKPOINT_S = 10.0
_CHECKPOINT_SHARE = 0.02


class Watch(keras.callbacks.Callback):
    """Follows one run; its state is `progress` and `best`, which a checkpoint holds.

    Args:
        progress: state to continue from; changed in place.
        best: weights of the best epoch so far, empty at the start.
        checkpoints: where to save: after the first epoch, then as often as costs at most 2% of the time.
        patience: epochs without a better validation Dice before training stops; None never stops.
        observe: receives StepDone and EpochDone.
        on_epoch: receives (epoch, metrics) for the tracker.
        trial: how far to train and when to give up, where the run belongs to a search.
    """

    def __init__(
        self,
        progress: Progress,
        best: Values,
        checkpoints: CheckpointFolder,
        patience: int | None,
        observe: Observer,
        on_epoch: Callable[[int, dict[str, float]], None],
        trial: Trial | None = None,
    ) -> None:
        super().__init__()
        self._trial = trial
        self.progress = progress
        self.best = best
        self._checkpoints = checkpoints
        self.patience = patience
        self.stage_start = 0
        self.last = 0
        self._observe = observe
        self._on_epoch = on_epoch
        self._save_again_at = 0.0
        self._told_at = 0.0
        self._epoch_began = 0.0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._epoch_began = time.monotonic()
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell the running loss, a few times a second."""
        now = time.monotonic()
        if now - self._told_at >= _STEP_EVENT_S:
            self._told_at = now
            self._observe(StepDone(self._epoch, batch + 1, float((logs or {}).get("loss", float("nan")))))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the best weights, stop where there is no more to gain, save, tell."""
        # With several outputs Keras puts the output's name before the metric's.
        metrics = {name.replace("mask_dice", "dice"): float(value) for name, value in (logs or {}).items()}
        seconds = time.monotonic() - self._epoch_began
        metrics["seconds"] = seconds
        if metrics["loss"] != metrics["loss"]:
            raise DivergedError(
                f"The loss became NaN in epoch {epoch + 1}. Lower train.learning_rate, or use precision 'float32'."
            )
        progress = self.progress
        better = metrics["val_dice"] > progress.best_val_dice
        if better:
            progress.best_epoch, progress.best_val_dice = epoch, metrics["val_dice"]
            self.best[:] = read_variables(self.model.weights)
        progress.epoch = epoch + 1
        progress.seconds += seconds
        progress.history.append(metrics)
        self.model.stop_training = progress.exhausted(self.patience, self.stage_start)
        self._save_now_and_then(ends=self._ends_trial())
        self._on_epoch(epoch, metrics)
        self._observe(EpochDone(epoch, metrics["loss"], metrics["val_dice"], better, seconds))

    def _ends_trial(self) -> bool:
        """Tell whether a trial is over: its last checkpoint is what another one goes on from."""
        if self._trial is None or self.progress.epoch >= self.last:
            return self._trial is not None
        self.progress.stopped = self._trial.stop(self.progress)
        self.model.stop_training |= bool(self.progress.stopped)
        return bool(self.model.stop_training)

    def _save_now_and_then(self, ends: bool) -> None:
        began = time.monotonic()
        if began < self._save_again_at and not ends:
            return
        everything = [*self.model.variables, *self.model.optimizer.variables]
        self._checkpoints.save(self.progress, read_variables(everything), self.best)
        ended = time.monotonic()
        self._save_again_at = ended + max(_CHECKPOINT_S, (ended - began) / _CHECKPOINT_SHARE)
