"""What accuracy costs."""

from __future__ import annotations

import math
from typing import Any

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, MAX_LINES, colour, names_of, new_figure, say_rest
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import Row

_AXES = (("inference_ms", "ms per slice, predicting"), ("params", "parameters"), ("train_seconds", "s of training"))


@report_figure("cost", title="What does accuracy cost?", order=40)
def cost(report: Report) -> Any:
    """Mean of each arm with its 95% interval against time per slice, parameters and training time, logarithmic where
    they differ tenfold. Up and to the left is better where higher is better. Times are of the machine named under the
    table."""
    metric, figures = report.analysis.primary, report.analysis.figures
    known = [row for row in report.table.rows if row.seeds and math.isfinite(figures[row.arm][metric.name]["mean"])]
    rows = known[:MAX_LINES]
    panels = [(key, title) for key, title in _AXES if any(_known(row, key) for row in rows)]
    if len(rows) < 2 or not panels:
        return None
    height = 2.9 + 0.16 * math.ceil(len(rows) / 2)
    figure, axes = new_figure(height, 1, len(panels), sharey=True)
    flat = axes.ravel() if len(panels) > 1 else [axes]
    for panel, (key, title) in zip(flat, panels, strict=True):
        measured = [(place, row) for place, row in enumerate(rows) if _known(row, key)]
        shown = [figures[row.arm][metric.name] for _, row in measured]
        x, colours = [row.cost[key] for _, row in measured], [colour(place) for place, _ in measured]
        panel.vlines(x, [each["low"] for each in shown], [each["high"] for each in shown], colors=colours, lw=1.4)
        panel.scatter(x, [each["mean"] for each in shown], c=colours, s=32, zorder=3)
        panel.set_xscale("log")
        panel.set_xlabel(title)
        panel.grid(color=GRID)
        panel.set_axisbelow(True)
        _plain_ticks(panel)
    flat[0].set_ylabel(metric.title)
    names = names_of(report)
    handles = [flat[0].plot([], [], "o", color=colour(place))[0] for place in range(len(rows))]
    figure.legend(handles, [names[row.arm] for row in rows], loc="outside lower center", ncols=2)
    say_rest(figure, len(rows), len(known))
    return figure


def _known(row: Row, key: str) -> bool:
    value = row.cost.get(key, math.nan)
    return math.isfinite(value) and value > 0


def _plain_ticks(axes: Any) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axes.get_xlim()
    if high / low < 10:
        axes.set_xscale("linear")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlim(0, 1.08 * axes.dataLim.x1)
    elif high / low < 1000:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1, 3)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
