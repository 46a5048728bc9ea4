"""Results by size of the lesion and by label."""

from __future__ import annotations

import math
from typing import Any

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import GRID, colour, names_of, new_figure, say_rest, shown_lines
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.strata import Stratum, strata, stratum_intervals

_TITLES = {"size": "Size of the lesion in the slice", "label": "Label"}


@report_figure("by_stratum", title="Which lesions are hard?", order=60)
def by_stratum(report: Report) -> Any:
    """Mean with 95% interval over the lesions of one size or label. Sizes are the diameter of the disc of the
    reference's area in the slice, cut where Lung-RADS changes its advice; slices of unknown spacing are left out,
    and where most are, sizes are thirds in pixels. n counts slices."""
    kinds: dict[str, list[Stratum]] = {}
    for stratum in strata(report.results):
        kinds.setdefault(stratum.kind, []).append(stratum)
    if not kinds or report.analysis.primary.over != "lesion":
        return None
    shown = shown_lines(report.results.with_results, lambda arm: arm.finished)
    figure, axes = new_figure(3.0 + 0.14 * len(shown), 1, len(kinds), sharey=True)
    flat = axes.ravel() if len(kinds) > 1 else [axes]
    for panel, (kind, found) in zip(flat, kinds.items(), strict=True):
        _draw(panel, report, found, [arm.arm for arm in shown])
        panel.set_xlabel(_TITLES[kind])
    flat[0].set_ylabel(report.analysis.primary.title)
    handles, labels = flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    say_rest(figure, len(shown), len(report.results.with_results))
    return figure


def _draw(axes: Any, report: Report, found: list[Stratum], arms: list[str]) -> None:
    names, metric = names_of(report), report.analysis.primary.name
    spread = min(0.6, 0.14 * len(arms))
    for column, stratum in enumerate(found):
        values = stratum_intervals(report.results, stratum, metric, report.draws)
        for place, arm in enumerate(arms):
            x = column + (spread * (place / (len(arms) - 1) - 0.5) if len(arms) > 1 else 0.0)
            mean, low, high = values[arm]
            label = names[arm] if column == 0 else None
            axes.plot([x], [mean], "o", color=colour(place), ms=4, label=label)
            if math.isfinite(low):
                axes.plot([x, x], [low, high], color=colour(place), lw=1.5)
    ticks = [f"{stratum.title}\nn = {int(stratum.cases.sum())}" for stratum in found]
    axes.set_xticks(range(len(found)), ticks, fontsize=8)
    axes.set_xlim(-0.6, len(found) - 0.4)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
