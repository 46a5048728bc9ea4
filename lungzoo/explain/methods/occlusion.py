"""Occlusion: cover the image patch by patch, and see how much the answer drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from lungzoo.errors import UsageError
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject, one_flat_model
from lungzoo.explain.features import log_odds
from lungzoo.inference.batches import Answers, Batches
from lungzoo.inference.predictor import Predictor
from lungzoo.metrics.probabilities import named_outputs
from lungzoo.schema import Frozen

_NAME = "occlusion"
_LENGTH = r"^\d+(\.\d+)?(px|mm)$"
Box = tuple[slice, slice]
Tick = Callable[[int, int], None]


class Options(Frozen):
    """Settings of occlusion."""

    patch: str = Field("16px", pattern=_LENGTH)
    """Side of a patch, such as "16px" of the model's input, or "8mm"."""
    stride: str = Field("", pattern=f"{_LENGTH}|^$")
    """How far patches lie apart, likewise; empty for half of a side."""
    reach: str = Field("64px", pattern=_LENGTH)
    """How far beyond the region patches are put, likewise."""


def check(predictors: Sequence[Predictor], options: Options) -> None:
    """See `Method.check`."""
    one_flat_model(predictors, _NAME)
    for name, length in (("patch", options.patch), ("stride", options.stride)):
        if length and not float(length[:-2]):
            raise UsageError(
                f"Occlusion's {name} is longer than nothing. Received: {length}. Give such as 16px or 8mm."
            )


def explain(subject: Subject, options: Options) -> HeatMap:
    """Return by how much the log-odds of lesion over the region drop where a patch is covered.

    A patch takes the median of its channel. Each pixel gets the mean of the patches that covered it.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    from lungzoo.explain.shown import show

    shown = show(subject)
    patch, reach = (in_pixels(text, shown.spacing_mm) for text in (options.patch, options.reach))
    half = max(patch[0] // 2, 1), max(patch[1] // 2, 1)
    stride = in_pixels(options.stride, shown.spacing_mm) if options.stride else half
    boxes = list(patches(shown.region, patch, stride, reach))
    batches = Batches(log_odds_of(subject.predictor.model), subject.passes.batch_size, subject.passes.tell)
    values = occlusion_map(batches, shown.image[0], shown.region, boxes, subject.progress)
    details = f"occlusion by {patch[0]}×{patch[1]} px every {stride[0]}×{stride[1]} px"
    return HeatMap(shown.back(values), "drop of the log-odds of lesion", details, signed=True)


def in_pixels(length: str, spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """Return a length such as "16px" or "8mm" in pixels along y and x, at least one.

    Raises:
        UsageError: mm, of a scan whose spacing is unknown.
    """
    number, unit = float(length[:-2]), length[-2:]
    if unit == "px":
        return (max(round(number), 1),) * 2
    if not np.isfinite(spacing_mm).all():
        raise UsageError(
            f"The scan does not say how large its pixels are. Received: {length}. Give pixels, such as 16px."
        )
    y, x = (max(round(number / step), 1) for step in spacing_mm)
    return y, x


def patches(
    region: np.ndarray, patch: tuple[int, int], stride: tuple[int, int], reach: tuple[int, int]
) -> Iterator[Box]:
    """Yield patches that cover a region and what lies within reach of it; the image's edge cuts them.

    Args:
        region: bool (H, W), not empty.
        patch, stride, reach: pixels along y and x.
    """
    spans = []
    for axis in (0, 1):
        filled, side = np.flatnonzero(region.any(axis=1 - axis)), region.shape[axis]
        first = max(int(filled[0]) - reach[axis], 0)
        last = min(int(filled[-1]) + 1 + reach[axis], side)
        starts = range(first, max(last - patch[axis] + stride[axis], first + 1), stride[axis])
        spans.append([slice(start, min(start + patch[axis], side)) for start in starts])
    yield from ((rows, columns) for rows in spans[0] for columns in spans[1])


def occlusion_map(
    batches: Batches, image: np.ndarray, region: np.ndarray, boxes: list[Box], progress: Tick
) -> np.ndarray:
    """Return the mean drop under the patches of each pixel, float32 (H, W); NaN where there was none.

    Args:
        batches: gives log-odds of lesion.
        image: float32 (H, W, C).
        region: bool (H, W), the pixels whose log-odds are averaged.
        boxes: the patches.
        progress: is told how many of how many are done.
    """
    fill = np.median(image, axis=(0, 1))
    total, count = np.zeros(region.shape), np.zeros(region.shape, int)
    before = batches(image[None])[0][0][region].mean()
    for start in range(0, len(boxes), size := batches.size):
        part = boxes[start : start + size]
        covered = np.repeat(image[None], len(part), axis=0)
        for each, box in zip(covered, part, strict=True):
            each[box] = fill
        for box, answer in zip(part, batches(covered)[0], strict=True):
            total[box] += before - answer[region].mean()
            count[box] += 1
        progress(start + len(part), len(boxes))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def log_odds_of(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return a function from input batches to log-odds of lesion, float32 (B, H, W)."""

    def answer(batch: np.ndarray) -> Answers:
        from keras import ops

        return ops.convert_to_numpy(log_odds(named_outputs(model.predict_on_batch(batch))["mask"])), None

    return answer


EXPLANATIONS.add(
    _NAME,
    Method(
        "Occlusion",
        "how much the lesion's log-odds drop where a patch is covered",
        "Zeiler and Fergus 2014, arXiv:1311.2901",
        Options,
        check,
        explain,
    ),
)
