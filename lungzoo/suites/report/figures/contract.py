"""What a figure of a report is, and the registry of them.

A figure is a function of a `Report`, registered with its title and its place among the others. Its docstring's first
paragraph is the caption that people read:

    @report_figure("forest", title="Intervals", order=10)
    def forest(report: Report) -> Figure | None:
        \"""Mean of each arm with its 95% interval.\"""

None means that there is nothing to show, and the report leaves the figure out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lungzoo.errors import LungzooError
from lungzoo.registry import Registry
from lungzoo.suites.report.figures.style import look
from lungzoo.suites.report.report import Report

# What is drawn is a matplotlib Figure; its types would load matplotlib.
Draw = Callable[[Report], Any]


@dataclass(frozen=True)
class ReportFigure:
    """A figure of a report.

    Args:
        name: in the registry and of its file.
        title: above it.
        caption: below it.
        order: figures come in this order.
        function: Report -> Figure, or None where there is nothing to show.
    """

    name: str
    title: str
    caption: str
    order: int
    function: Draw

    def draw(self, report: Report) -> Any:
        """Return the figure in the look of all figures, or None where there is nothing to show."""
        with look():
            return self.function(report)


FIGURES: Registry[ReportFigure] = Registry("figure", "lungzoo.suites.report.figures", see="docs/report.md")


def report_figure(name: str, *, title: str, order: int) -> Callable[[Draw], Draw]:
    """Return a decorator that registers a function Report -> Figure; see `ReportFigure`."""

    def add(draw: Draw) -> Draw:
        caption = inspect.cleandoc(draw.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        if not caption:
            raise LungzooError(f"The figure '{name}' has no docstring. Its first paragraph is the caption.")
        FIGURES.add(name, ReportFigure(name, title, caption, order, draw))
        return draw

    return add


def figures_in_order() -> list[ReportFigure]:
    """Return every registered figure, first to last."""
    return sorted((FIGURES.get(name) for name in FIGURES.names()), key=lambda figure: (figure.order, figure.name))
