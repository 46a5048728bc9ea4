"""Which class is the likelier one, at every threshold, and do the probabilities of the classes come true?"""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.evaluation.labels import label_calibration
from lungzoo.suites.report.classes import Predicted, predicted_slices
from lungzoo.suites.report.columns import area_of
from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, MUTED, colour, dash, names_of, new_figure, say_rest, shown_lines
from lungzoo.suites.report.numbers import number
from lungzoo.suites.report.report import Report


@report_figure("class_curves", title="How well are the classes told apart?", order=95)
def class_curves(report: Report) -> Any:
    """Left: ROC curves of the second class, means over runs at equal false positive rates (two classes only). Right:
    of the slices that were given a probability of the second class (of more than two classes: of the likeliest one),
    the share that has it; on the diagonal: calibrated. Labelled test slices, runs together."""
    results, names = report.results, names_of(report)
    predicted = {arm.arm: predicted_slices(results, arm) for arm in results.with_results}
    arms = [arm for arm in results.with_results if predicted[arm.arm] is not None]
    shown = shown_lines(arms, lambda arm: predicted[arm.arm])
    if not shown:
        return None
    figure, axes = new_figure(3.2 + 0.14 * len(shown), 1, 2)
    left, right = axes.ravel()
    rows = {row.arm: row for row in report.table.rows}
    for place, arm in enumerate(shown):
        if found := predicted[arm.arm]:
            label = f"{names[arm.arm]}, AUC {number(area_of(rows[arm.arm]).get('mean', np.nan))}"
            _draw(left, right, found, place, label)
    for panel in (left, right):
        panel.plot([0, 1], [0, 1], color=MUTED, lw=1)
        panel.set(xlim=(0, 1), ylim=(0, 1))
        panel.grid(color=GRID)
    left.set(xlabel="False positive rate", ylabel="True positive rate")
    right.set(xlabel="Predicted probability", ylabel="Share that has the class")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1)
    say_rest(figure, len(shown), len(arms))
    return figure


def mean_roc(true: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and mean true positive rates of the second of two classes over runs, at 201 false positive rates.

    Args:
        true: int (cases,), 0 or 1, both there.
        chances: (runs, cases), NaN where a run did not test a case.
    """
    grid = np.linspace(0, 1, 201)
    curves = []
    for run in chances:
        tested = ~np.isnan(run)
        order = np.argsort(-run[tested], kind="stable")
        score, positive = run[tested][order], true[tested][order] == 1
        if positive.all() or not positive.any():
            continue
        last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # ties are one step
        rates = [np.concatenate([[0], np.cumsum(part)[last] / part.sum()]) for part in (~positive, positive)]
        curves.append(np.interp(grid, rates[0], rates[1]))
    return grid, np.mean(curves, axis=0) if curves else np.full(len(grid), np.nan)


def _draw(left: Any, right: Any, found: Predicted, place: int, label: str) -> None:
    look = {"color": colour(place), "ls": dash(place), "lw": 1.5}
    if len(found.labels) == 2 and not found.missing:
        left.plot(*mean_roc(found.true, found.chances[:, :, 1]), **look)
    tested = ~np.isnan(found.chances).any(axis=2)
    counts = label_calibration(np.broadcast_to(found.true, tested.shape)[tested], found.chances[tested])
    bins = counts.reliability_curve()
    points = [each.confidence for each in bins], [each.frequency for each in bins]
    right.plot(*points, label=label, marker="o", ms=2.5, **look)
