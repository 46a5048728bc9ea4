"""Several models on one scan: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.inference.predictor import Passes, Predictor, Region, SliceAnswer
from lungzoo.inference.prepare import Prepared
from lungzoo.inference.volume import Volume


def mean_slices(
    predictors: Sequence[Predictor],
    volume: Volume,
    region: Region,
    passes: Passes,
    prepared: Sequence[Prepared | None] = (),
) -> Iterator[SliceAnswer]:
    """Yield the mean answer of models for every slice, in order.

    The models advance side by side, each with its own preprocessing and grid; no more than a batch of slices is kept
    of any of them. Raises as `Predictor.slices` does.

    Args:
        predictors: the models.
        volume, region, passes: see `Predictor.slices`.
        prepared: likewise, one for each model; empty prepares for all of them.
    """
    each = prepared or [None] * len(predictors)
    streams = [one.slices(volume, region, passes, own) for one, own in zip(predictors, each, strict=True)]
    for answers in zip(*streams, strict=True):
        labels = [answer.labels for answer in answers if answer.labels is not None]
        probability = answers[0].probability
        if len(answers) > 1:
            probability = np.mean([answer.probability for answer in answers], axis=0, dtype=np.float32)
        yield SliceAnswer(answers[0].row, probability, np.mean(labels, axis=0) if labels else None)


def labels_of(predictors: Sequence[Predictor]) -> tuple[str, ...]:
    """Return the classes that the models tell lesions apart as; none where none does.

    Raises:
        UsageError: they tell different classes apart.
    """
    kinds = {predictor.lesion_classes for predictor in predictors} - {()}
    if len(kinds) > 1:
        shown = "; ".join(", ".join(kind) for kind in sorted(kinds))
        raise UsageError(
            f"The models of an ensemble must have the same classes. Received: {shown}. Leave some of --weights out."
        )
    return next(iter(kinds), ())
