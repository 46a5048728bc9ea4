"""What a method of explanation promises: a model and a slice in, a map on the slice's own grid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.events import Progress
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.volume import Volume
from lungzoo.registry import Registry
from lungzoo.schema import Frozen


@dataclass(frozen=True)
class Subject:
    """What is explained.

    Args:
        predictors: the models; most methods take one.
        volume: the scan.
        row: index of the slice in `volume.image`.
        region: bool (H, W) on the scan's own grid, the pixels whose answer is explained; may be empty.
        passes: how models are run.
        progress: is told how much of how much is done.
    """

    predictors: Sequence[Predictor]
    volume: Volume
    row: int
    region: np.ndarray
    passes: Passes
    progress: Progress = lambda done, total: None

    @property
    def predictor(self) -> Predictor:
        """The first model, for methods that take one."""
        return self.predictors[0]


@dataclass(frozen=True)
class HeatMap:
    """What a method found.

    Args:
        values: float32 (H, W) on the scan's own grid; NaN where nothing was looked at.
        quantity: what the values are, with their unit; labels the colour bar.
        details: how it was made, for the title.
        signed: values below zero mean something, and zero is the middle of the colours.
        top: value of the brightest colour; None takes the largest that is there.
    """

    values: np.ndarray
    quantity: str
    details: str
    signed: bool = False
    top: float | None = None


@dataclass(frozen=True)
class Method:
    """One way to explain a model.

    Args:
        title: its name in the field.
        about: what its map shows.
        paper: where it was published.
        options: config class of its settings.
        check: raises UsageError for models that it cannot explain, or settings that they do not have.
        explain: makes the map.
        needs_region: it explains the answer for a region, so there has to be one.
        of_several: it is of several models, such as the seeds of an arm.
    """

    title: str
    about: str
    paper: str
    options: type[Frozen]
    check: Callable[[Sequence[Predictor], Any], None]
    explain: Callable[[Subject, Any], HeatMap]
    needs_region: bool = True
    of_several: bool = False

    @property
    def defaults(self) -> dict[str, Any]:
        """Its settings and their defaults."""
        return {name: field.default for name, field in self.options.model_fields.items()}


EXPLANATIONS: Registry[Method] = Registry("explanation", "lungzoo.explain.methods", see="lungzoo list explanations")


def one_model(predictors: Sequence[Predictor], method: str) -> Predictor:
    """Return the only model; raises UsageError where there are several."""
    if len(predictors) != 1:
        raise UsageError(
            f"The explanation '{method}' is of one model. Received: {len(predictors)} --weights. Give one, or take "
            "--method uncertainty."
        )
    return predictors[0]


def one_flat_model(predictors: Sequence[Predictor], method: str) -> Predictor:
    """Return the only model; raises UsageError where there are several, or it is a 3D model."""
    predictor = one_model(predictors, method)
    if predictor.is_3d:
        raise UsageError(
            f"The explanation '{method}' is of 2D and 2.5D models, and '{predictor.manifest.name}' is a 3D model. "
            "Allowed for those: --method uncertainty, dropout-uncertainty, flip-uncertainty."
        )
    return predictor
