"""Uncertainty of an ensemble: where several models disagree."""

from __future__ import annotations

from collections.abc import Sequence

from lungzoo.errors import UsageError
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject
from lungzoo.explain.spread import MeasureName, spread_of
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "uncertainty"


class Options(Frozen):
    """Settings of the uncertainty of an ensemble."""

    measure: MeasureName = "entropy"
    """What is shown: predictive entropy, mutual information, or standard deviation."""


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    if len(predictors) < 2:
        raise UsageError(
            "The explanation 'uncertainty' is of several models, such as the seeds of an arm. Received: 1 --weights. "
            "Give more; of one model take --method dropout-uncertainty, or flip-uncertainty for one without dropout."
        )


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return how unsure an ensemble is.

    Source: Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """
    members = subject.predictors
    return spread_of(subject, [(member, 1) for member in members], options.measure, f"{len(members)} models")


EXPLANATIONS.add(
    _NAME,
    Method(
        "Uncertainty of an ensemble",
        "where several models are unsure, or disagree",
        "Lakshminarayanan et al. 2017, arXiv:1612.01474",
        Options,
        check,
        explain,
        needs_region=False,
        of_several=True,
    ),
)
