"""AdamW with linear warm-up and cosine decay."""

from __future__ import annotations

from typing import Any

import keras

from lungzoo.config import TrainConfig


def make_optimizer(config: TrainConfig, steps_per_epoch: int, epochs: int) -> Any:
    """Return an AdamW whose learning rate warms up linearly and then decays to zero along a cosine.

    Biases and normalisation parameters are not decayed.

    Args:
        config: learning rate, weight decay, warm-up.
        steps_per_epoch: optimiser steps per epoch.
        epochs: epochs that the schedule spans.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101; 2017, arXiv:1608.03983.
    """
    total = max(steps_per_epoch * epochs, 2)
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = ScaledAdamW(schedule, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


@keras.saving.register_keras_serializable("lungzoo")
class ScaledAdamW(keras.optimizers.AdamW):
    """AdamW with a factor on the learning rate of each variable; the weight decay is not scaled."""

    _factors: tuple[float, ...] = ()

    def build_with(self, variables: list[Any], factors: dict[int, float]) -> None:
        """Build for the given variables; `factors` by `id` of the variable, 1 where absent."""
        self.build(variables)
        if factors:
            self._factors = tuple(factors.get(id(variable), 1.0) for variable in variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable with its own share of the learning rate."""
        if self._factors:
            learning_rate = learning_rate * self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate)
