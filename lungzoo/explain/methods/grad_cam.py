"""Grad-CAM for the label head."""

from __future__ import annotations

from collections.abc import Sequence

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject
from lungzoo.explain.features import Score
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "grad-cam"


class Options(Frozen):
    """Settings of Grad-CAM."""

    level: str = ""
    """Level of the encoder, such as "P4"; empty for the deepest."""
    label: str = ""
    """Class of the label head; empty for the most probable."""


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    from lungzoo.explain.cam import check_cam

    predictor = check_cam(predictors, options.level, _NAME)
    if not predictor.labels:
        raise UsageError(
            f"Grad-CAM explains the class of a slice, and '{predictor.manifest.name}' has no label head"
            f"{'; a second stage is not explained' if predictor.lesion_classes else ''}. Take --method seg-grad-cam, "
            "which explains the mask."
        )
    if options.label and options.label not in predictor.labels:
        raise UnknownNameError("label", options.label, predictor.labels)


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return the features of a level that raise the logit of a class of the whole slice.

    Source: Selvaraju et al. 2017, arXiv:1610.02391.
    """
    from lungzoo.explain.cam import cam_of
    from lungzoo.explain.shown import show

    shown, labels = show(subject), subject.predictor.labels
    if options.label:
        place = labels.index(options.label)
    else:
        place = int(subject.predictor.model.predict_on_batch(shown.image)["label"][0].argmax())
    return cam_of(subject, shown, options.level, _score(place), f"Grad-CAM of '{labels[place]}'")


def _score(place: int) -> Score:
    return lambda outputs: outputs["label"][0, place]


EXPLANATIONS.add(
    _NAME,
    Method(
        "Grad-CAM",
        "which places of a level's features speak for the slice's class",
        "Selvaraju et al. 2017, arXiv:1610.02391",
        Options,
        check,
        explain,
        needs_region=False,
    ),
)
