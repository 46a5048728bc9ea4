"""The model among radiologists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lungzoo.statistics.bootstrap import intervals
from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, INK, mark_rows, names_of, new_figure
from lungzoo.suites.report.numbers import with_interval
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.results import ArmResults

# Of the model, of the readers among themselves, and what is compared.
_PANELS = (
    ("agreement_model_readers", "agreement_readers_pairwise", "With each reader"),
    ("agreement_model_rest", "agreement_reader_rest", "With the majority of all readers but one"),
)


@report_figure("readers", title="How close to radiologists?", order=90)
def readers(report: Report) -> Any:
    """Dice of each arm with radiologists, and (grey band: 95% interval) of radiologists with each other on the same
    cases, which no model can be expected to exceed by much: they were drawn on the same slices, blind to it."""
    arms = [arm for arm in report.results.with_results if all(each[0] in arm.extra for each in _PANELS)]
    if not arms:
        return None
    figure, axes = new_figure(1.1 + 0.27 * len(arms), 1, 2, sharey=True)
    for panel, (model, human, title) in zip(axes.ravel(), _PANELS, strict=True):
        _draw(panel, report, arms, model, human)
        panel.set_title(title)
        panel.grid(axis="x", color=GRID)
        panel.set_axisbelow(True)
    names = names_of(report)
    axes.ravel()[0].set_yticks(range(len(arms)), [names[arm.arm] for arm in arms])
    axes.ravel()[0].set_ylim(len(arms) - 0.4, -0.6)
    return figure


def _draw(axes: Any, report: Report, arms: list[ArmResults], model: str, human: str) -> None:
    """Cases without enough readers, or without a counted lesion, say nothing about either."""
    lesion = (report.results.cases["group"] == "lesion").to_numpy()
    reference = arms[0].extra[human][:1]
    counted = lesion & np.isfinite(reference[0])
    if not counted.any():
        return
    values = [np.where(counted, arm.extra[model], np.nan) for arm in arms]
    rows = [np.where(counted, reference, np.nan), *values]
    found = intervals(rows, report.results.patients, report.results.folds, draws=report.draws, limits=(0.0, 1.0))
    if math.isfinite(found.low[0]):
        axes.axvspan(found.low[0], found.high[0], color="#d1d5db", alpha=0.6, lw=0)
    axes.axvline(found.mean[0], color=INK, lw=1)
    interval = with_interval({"mean": found.mean[0], "low": found.low[0], "high": found.high[0]})
    axes.set_xlabel(f"Dice\nreaders {interval}, n = {found.cases[0]}")
    mark_rows(axes, found.mean[1:].tolist(), found.low[1:].tolist(), found.high[1:].tolist())
