"""Uncertainty by Monte-Carlo dropout: one model's answers while its dropout is on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import Field

from lungzoo.errors import UsageError
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject, one_model
from lungzoo.explain.spread import MeasureName, spread_of, with_model
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "dropout-uncertainty"


class Options(Frozen):
    """Settings of Monte-Carlo dropout."""

    measure: MeasureName = "entropy"
    """What is shown: predictive entropy, mutual information, or standard deviation."""
    passes: int = Field(20, ge=2)
    """How many times the model answers."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of what is dropped."""


class Dropping:
    """A model whose dropout is on; BatchNorm keeps the statistics of training.

    Args:
        model: the `keras.Model`, frozen.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict_on_batch(self, batch: np.ndarray) -> Any:
        """Return one answer; the next one drops something else."""
        import keras

        return keras.tree.map_structure(keras.ops.convert_to_numpy, self._model(batch, training=True))


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    predictor = one_model(predictors, _NAME)
    if not dropout_layers(predictor.model):
        raise UsageError(
            f"'{predictor.manifest.name}' has no dropout, so its answers are always the same. Take --method "
            "uncertainty with several --weights, or flip-uncertainty. model.decoder_dropout in training brings some."
        )


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return how unsure a model is that drops features at random as in training.

    Source: Gal and Ghahramani 2016, arXiv:1506.02142.
    """
    predictor = subject.predictor
    for number, layer in enumerate(dropout_layers(predictor.model)):
        layer.seed_generator.state.assign(np.array([options.seed, number], np.uint32))
    with _frozen(predictor.model):
        members = [(with_model(predictor, Dropping(predictor.model)), options.passes)]
        return spread_of(subject, members, options.measure, f"{options.passes} passes with dropout")


def dropout_layers(model: Any) -> list[Any]:
    """Return the layers of a model that drop something, nested models opened."""
    import keras

    every = model._flatten_layers(include_self=False)
    return [layer for layer in every if isinstance(layer, keras.layers.Dropout) and layer.rate > 0]


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Freeze all layers for a while: in a frozen BatchNorm `training=True` means nothing."""
    layers = list(model._flatten_layers())
    before = [layer.trainable for layer in layers]
    model.trainable = False
    try:
        yield
    finally:
        for layer, trainable in zip(layers, before, strict=True):
            layer.trainable = trainable


EXPLANATIONS.add(
    _NAME,
    Method(
        "Uncertainty by Monte-Carlo dropout",
        "where one model's answers vary while its dropout is on",
        "Gal and Ghahramani 2016, arXiv:1506.02142",
        Options,
        check,
        explain,
        needs_region=False,
    ),
)
