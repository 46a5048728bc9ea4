"""Means and intervals of all arms."""

from __future__ import annotations

import math
from typing import Any

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, INK, mark_rows, names_of, new_figure
from lungzoo.suites.report.numbers import with_interval
from lungzoo.suites.report.report import Report


@report_figure("forest", title="How good is each arm?", order=10)
def forest(report: Report) -> Any:
    """Mean of each arm over the test cases with its 95% interval, in the order of the table. Intervals of two arms may
    overlap although the arms differ, because they are compared patient by patient: see the differences."""
    metric, figures = report.analysis.primary, report.analysis.figures
    rows = [row for row in report.table.rows if row.seeds and math.isfinite(figures[row.arm][metric.name]["mean"])]
    if not rows:
        return None
    names = names_of(report)
    figure, axes = new_figure(0.9 + 0.28 * len(rows))
    shown = [figures[row.arm][metric.name] for row in rows]
    mark_rows(axes, *([found[key] for found in shown] for key in ("mean", "low", "high")))
    for place, (row, found) in enumerate(zip(rows, shown, strict=True)):
        text = with_interval(found, metric.digits) + (f"  {row.letters}" if row.letters else "")
        axes.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [names[row.arm] + (" ★" if row.selected else "") for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"{metric.title}{f' ({metric.unit})' if metric.unit else ''}, {metric.better} is better")
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    return figure
