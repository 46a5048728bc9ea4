"""Uncertainty over mirror images: where one model answers differently when the slice is flipped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject, one_model
from lungzoo.explain.spread import MeasureName, spread_of, with_model
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "flip-uncertainty"


class Options(Frozen):
    """Settings of the uncertainty over mirror images."""

    measure: MeasureName = "std"
    """What is shown: predictive entropy, mutual information, or standard deviation."""


class Flipped:
    """A model that sees its input mirrored; its mask is mirrored back.

    Args:
        model: the `keras.Model`.
        axes: of those that are mirrored, -3 for y and -2 for x, with channels last.
    """

    def __init__(self, model: Any, axes: tuple[int, ...]) -> None:
        self._model, self._axes = model, axes

    def predict_on_batch(self, batch: np.ndarray) -> Any:
        """Return what the model answers, the mask and what is like it on the grid of `batch`."""
        outputs = self._model.predict_on_batch(np.ascontiguousarray(np.flip(batch, self._axes)))
        if not isinstance(outputs, dict):
            return np.flip(outputs, self._axes)
        return {name: value if np.ndim(value) < 3 else np.flip(value, self._axes) for name, value in outputs.items()}


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    one_model(predictors, _NAME)


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return how much one model's answers for a slice and its mirror images differ.

    They share the model's weights, so that this says less than an ensemble: what all four get wrong looks certain.

    Source: Wang et al. 2019, arXiv:1807.07356, section 3, with mirror images alone.
    """
    predictor, members = subject.predictor, []
    for flip_y, flip_x in product((False, True), repeat=2):
        axes = tuple(axis for axis, flip in ((-3, flip_y), (-2, flip_x)) if flip)
        members.append((with_model(predictor, Flipped(predictor.model, axes)), 1))
    return spread_of(subject, members, options.measure, f"{len(members)} mirror images")


EXPLANATIONS.add(
    _NAME,
    Method(
        "Uncertainty over mirror images",
        "where one model answers differently for the slice's mirror images",
        "Wang et al. 2019, arXiv:1807.07356",
        Options,
        check,
        explain,
        needs_region=False,
    ),
)
