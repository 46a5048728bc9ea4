"""Seg-HiResCAM: features times their own gradients, for the pixels of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject
from lungzoo.inference.predictor import Predictor
from lungzoo.schema import Frozen

_NAME = "seg-hires-cam"


class Options(Frozen):
    """Settings of Seg-HiResCAM."""

    level: str = ""
    """Level of the encoder, such as "P4"; empty for the deepest."""


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    from lungzoo.explain.cam import check_cam

    check_cam(predictors, options.level, _NAME)


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return the features of a level that raise the log-odds of lesion over the region, each by its own gradient.

    Unlike Seg-Grad-CAM it marks no place from which nothing leads to the region.

    Source: Draelos and Carin 2020, arXiv:2011.08891, for the score of Vinogradova et al. 2020.
    """
    from lungzoo.explain.cam import cam_of, local_map
    from lungzoo.explain.features import region_score
    from lungzoo.explain.shown import show

    shown = show(subject)
    return cam_of(subject, shown, options.level, region_score(shown.region), "Seg-HiResCAM", local_map)


EXPLANATIONS.add(
    _NAME,
    Method(
        "Seg-HiResCAM",
        "which places of a level's features speak for the lesion, each by its own gradient",
        "Draelos and Carin 2020, arXiv:2011.08891",
        Options,
        check,
        explain,
    ),
)
