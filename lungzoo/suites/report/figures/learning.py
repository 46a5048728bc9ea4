"""Learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, colour, dash, names_of, new_figure, say_rest, shown_lines
from lungzoo.suites.report.report import Report

_PANELS = (("val_dice", "Validation Dice"), ("loss", "Training loss"))


@report_figure("learning", title="How did they learn?", order=50)
def learning(report: Report) -> Any:
    """Validation Dice and training loss after each epoch: mean over seeds and folds, and the range of the single runs
    as a band. Where runs stopped at different epochs, the mean is over those that were still running."""
    arms, evidence = report.results.with_results, report.evidence
    shown = shown_lines(arms, lambda arm: evidence[arm.arm].histories)
    if not shown:
        return None
    names = names_of(report)
    figure, axes = new_figure(3.0 + 0.14 * len(shown), 1, 2)
    for panel, (key, title) in zip(axes.ravel(), _PANELS, strict=True):
        for place, arm in enumerate(shown):
            _curve(
                panel,
                [[row.get(key, np.nan) for row in rows] for rows in evidence[arm.arm].histories],
                place,
                names[arm.arm],
            )
        panel.set_xlabel("Epoch")
        panel.set_ylabel(title)
        panel.grid(color=GRID)
        panel.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes.ravel()[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    say_rest(figure, len(shown), len(arms))
    return figure


def _curve(axes: Any, rows: list[list[float]], place: int, name: str) -> None:
    longest = max(len(row) for row in rows)
    table = np.array([row + [np.nan] * (longest - len(row)) for row in rows])
    kept = np.isfinite(table).any(axis=0)
    epochs, table = np.arange(1, longest + 1)[kept], table[:, kept]
    if len(table) > 1 and kept.any():
        low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
        axes.fill_between(epochs, low, high, color=colour(place), alpha=0.18, lw=0)
    mean = np.nanmean(table, axis=0) if kept.any() else []
    axes.plot(epochs, mean, dash(place), color=colour(place), lw=1.7, marker="o", ms=2.5, label=name)
