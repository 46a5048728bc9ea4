"""Can the probabilities be believed, and what would another threshold give?"""

from __future__ import annotations

import math
from typing import Any

from lungzoo.evaluation.curves import Curves
from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import (
    GRID,
    MUTED,
    colour,
    dash,
    names_of,
    new_figure,
    say_rest,
    shown_lines,
)  # fmt: skip
from lungzoo.suites.report.numbers import number
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import of_curves


@report_figure("calibration", title="Can the probabilities be believed?", order=70)
def calibration(report: Report) -> Any:
    """Left: of the pixels that were given a probability, the share that is lesion (on the diagonal: calibrated). Curves
    count the pixels of all runs together; ECE, the expected calibration error, is a mean over runs. Right: mean Dice at
    other thresholds; the dotted line is the one that was used. A threshold chosen here would flatter: choose it on the
    validation split."""
    arms, evidence = report.results.with_results, report.evidence
    shown, names = shown_lines(arms, lambda arm: evidence[arm.arm].curves), names_of(report)
    if not shown:
        return None
    figure, axes = new_figure(3.2 + 0.14 * len(shown), 1, 2)
    left, right = axes.ravel()
    left.plot([0, 1], [0, 1], color=MUTED, lw=1)
    for place, arm in enumerate(shown):
        if curves := evidence[arm.arm].curves:
            error = of_curves(arm).get("expected_calibration_error", math.nan)
            _draw(left, right, curves, place, f"{names[arm.arm]}, ECE {number(error, 4)}")
    for threshold in sorted({arm.config.score.threshold for arm in shown}):
        right.axvline(threshold, color=MUTED, ls=":", lw=1)
    left.set(xlabel="Predicted probability", ylabel="Share of lesion", xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="Threshold", ylabel="Mean Dice", xlim=(0, 1))
    for panel in (left, right):
        panel.grid(color=GRID)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    say_rest(figure, len(shown), len(arms))
    return figure


def _draw(left: Any, right: Any, curves: Curves, place: int, label: str) -> None:
    look = {"color": colour(place), "ls": dash(place), "lw": 1.5, "marker": "o", "ms": 2.5}
    bins = curves.calibration.reliability_curve()
    confidence, frequency = [each.confidence for each in bins], [each.frequency for each in bins]
    left.plot(confidence, frequency, label=label, **look)
    points = curves.thresholds.curve()
    right.plot([point.threshold for point in points], [point.mean_dice for point in points], **look)
