"""Seg-Grad-CAM: Grad-CAM for the pixels of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "seg-grad-cam"


class Options(Frozen):
    """Settings of Seg-Grad-CAM."""

    level: str = ""
    """Level of the encoder, such as "P4"; empty for the deepest."""


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    from lungzoo.explain.cam import check_cam

    check_cam(predictors, options.level, _NAME)


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return the features of a level that raise the log-odds of lesion over the region.

    Source: Vinogradova et al. 2020, arXiv:2002.11434; the mean over the region instead of the sum, which is
    the same map at another scale.
    """
    from lungzoo.explain.cam import cam_of
    from lungzoo.explain.features import region_score
    from lungzoo.explain.shown import show

    shown = show(subject)
    return cam_of(subject, shown, options.level, region_score(shown.region), "Seg-Grad-CAM")


EXPLANATIONS.add(
    _NAME,
    Method(
        "Seg-Grad-CAM",
        "which places of a level's features speak for the lesion",
        "Vinogradova et al. 2020, arXiv:2002.11434",
        Options,
        check,
        explain,
    ),
)
