"""What a metric of a case is, and the registry of them.

A metric is a function of a `MaskPair`, registered with what a table needs to show it: heading, unit, direction, over
which cases its mean is taken. One file of `lungzoo.metrics.per_case` holds one idea and states, for each of its
metrics, the answer where the reference, the prediction or both are empty:

    @case_metric("dice", title="Dice", better="higher", over="lesion")
    def dice(pair: MaskPair) -> float:
        \"""Overlap of the two masks: twice the shared area over the sum of both areas.\"""

NaN means that the case says nothing about the metric; means leave such cases out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from lungzoo.errors import LungzooError
from lungzoo.metrics.pair import MaskPair
from lungzoo.registry import Registry

# Raise it whenever a metric answers differently for some case: figures of other versions are not comparable.
METRICS_VERSION = 1

Unit = Literal["", "mm", "mm²", "mm³", "%"]
Better = Literal["higher", "lower", "zero"]
Over = Literal["lesion", "empty", "all"]
CaseFunction = Callable[[MaskPair], float]

__all__ = ["METRICS", "METRICS_VERSION", "CaseMetric", "MaskPair", "case_metric", "measure"]


@dataclass(frozen=True)
class CaseMetric:
    """A metric of one case.

    Args:
        name: in the registry and in result tables, with its unit where it has one.
        title: heading in tables for people.
        unit: of the value; "" for shares and counts.
        better: "higher", "lower", or "zero" for signed errors, which are best near 0.
        over: the cases that its mean is taken over: those with a lesion in the reference, those without, or all.
        digits: decimals worth showing.
        description: one line.
        function: MaskPair -> float, NaN where the case says nothing.
        dimensions: numbers of dimensions of the masks that it has a meaning for; for others it is NaN.
        share: whether it lies between 0 and 1.
    """

    name: str
    title: str
    unit: Unit
    better: Better
    over: Over
    digits: int
    description: str
    function: CaseFunction
    dimensions: tuple[int, ...] = (2, 3)
    share: bool = False

    @property
    def limits(self) -> tuple[float, float] | None:
        """Its range: shares end at 0 and 1, distances and counts start at 0, signed errors have none."""
        if self.share:
            return 0.0, 1.0
        return None if self.better == "zero" else (0.0, math.inf)

    def __call__(self, pair: MaskPair) -> float:
        """Return the metric of a case."""
        return float(self.function(pair)) if pair.reference.ndim in self.dimensions else float("nan")


METRICS: Registry[CaseMetric] = Registry("metric", "lungzoo.metrics.per_case", see="lungzoo list metrics")


def case_metric(
    name: str,
    *,
    title: str,
    better: Better,
    over: Over,
    unit: Unit = "",
    digits: int = 3,
    dimensions: tuple[int, ...] = (2, 3),
    count: bool = False,
) -> Callable[[CaseFunction], CaseFunction]:
    """Return a decorator that registers a function MaskPair -> float; its docstring's first line describes it.

    Args:
        name, title, unit, better, over, digits, dimensions: see `CaseMetric`.
        count: whether it counts something; without a unit it is a share otherwise.

    Raises:
        LungzooError: the name is taken, or the function has no docstring.
    """

    def add(function: CaseFunction) -> CaseFunction:
        lines = (function.__doc__ or "").strip().splitlines()
        if not lines:
            raise LungzooError(f"The metric '{name}' has no docstring. Its first line describes it in tables.")
        share = not unit and not count
        METRICS.add(name, CaseMetric(name, title, unit, better, over, digits, lines[0], function, dimensions, share))
        return function

    return add


def measure(pair: MaskPair, names: Iterable[str] | None = None) -> dict[str, float]:
    """Return the metrics of a case by name.

    Args:
        pair: the case.
        names: of registered metrics; None for all of them.

    Raises:
        UnknownNameError: no metric has that name.
    """
    return {name: METRICS.get(name)(pair) for name in (METRICS.names() if names is None else names)}
