"""Detection: lesions found against false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.evaluation.curves import Curves
from lungzoo.metrics.froc import FALSE_POSITIVE_RATES, Froc
from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, colour, dash, names_of, new_figure, say_rest, shown_lines
from lungzoo.suites.report.numbers import number
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import of_curves


@report_figure("froc", title="Are the lesions found?", order=80)
def froc(report: Report) -> Any:
    """FROC: share of the lesions that are hit (intersection over union of 0.1 or more) against false positives per
    slice and, where two or more of a volume's test slices follow one another, per stack of them, which may be only
    part of the volume. Curves count the candidates of all runs together. The number is a mean over runs, of the mean
    sensitivity at LUNA16's seven rates: 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives."""
    arms, evidence, names = report.results.with_results, report.evidence, names_of(report)
    shown = shown_lines(arms, lambda arm: _has_lesions(evidence[arm.arm].curves))
    if not shown:
        return None
    found = [curves.froc() for arm in shown if (curves := evidence[arm.arm].curves)]
    panels = max(map(len, found))
    figure, axes = new_figure(3.1 + 0.14 * len(shown) * panels, 1, panels, sharey=True)
    flat = axes.ravel() if panels > 1 else [axes]
    for column, panel in enumerate(flat):
        curves_here = [(place, each[column]) for place, each in enumerate(found) if column < len(each)]
        for place, curve in curves_here:
            score = of_curves(shown[place]).get(f"froc_score_per_{curve.per}", np.nan)
            _draw(panel, curve, place, f"{names[shown[place].arm]}, {number(score)}")
        panel.set_xscale("log", base=2)
        panel.set(xlim=(1 / 8, 8), ylim=(0, 1.02), xlabel=_axis(curves_here[0][1]))
        panel.set_xticks(FALSE_POSITIVE_RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        panel.grid(color=GRID)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    flat[0].set_ylabel("Lesion sensitivity")
    say_rest(figure, len(shown), len(arms))
    return figure


def _axis(curve: Froc) -> str:
    """Name the axis. A record does not say how many slices a volume has, so none is said to be whole."""
    return curve.axis if curve.per == "slice" else "False positives per stack of slices"


def _has_lesions(curves: Curves | None) -> bool:
    return curves is not None and any(scan.lesions for scan in curves.slices)


def _draw(axes: Any, curve: Froc, place: int, label: str) -> None:
    rates = np.geomspace(1 / 8, 8, 49)
    found = [curve.sensitivity_at(float(rate)) for rate in rates]
    axes.plot(rates, found, dash(place), color=colour(place), lw=1.6, label=label)
