"""Critical-difference diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import INK, MUTED, names_of, new_figure
from lungzoo.suites.report.numbers import p_value
from lungzoo.suites.report.report import Report

_TICKS = 25


@report_figure("ranks", title="How do the arms rank over patients?", order=30)
def ranks(report: Report) -> Any:
    """Critical-difference diagram: mean rank over patients, 1 is best. A bar joins arms that Wilcoxon's signed-rank
    test with Holm's correction does not separate; an arm that its thin stretches pass by is not among them. The test
    asks who is better for most patients, not whose mean is higher."""
    comparison = report.analysis.comparison
    if comparison is None:
        return None
    found, arms = comparison.ranks, report.analysis.compared
    order = np.argsort(found.average, kind="stable")
    bars = [clique for clique in found.cliques if len(clique) > 1]
    half = (len(arms) + 1) // 2
    top = 0.9 + 0.28 * len(bars)
    figure, axes = new_figure(1.0 + 0.16 * len(bars) + 0.26 * half)
    axes.set_xlim(0.6, len(arms) + 0.4)
    axes.set_ylim(top + 0.55 * half, -0.3)
    axes.axis("off")
    axes.hlines(0, 1, len(arms), color=INK, lw=1)
    for tick in range(1, len(arms) + 1, 1 + len(arms) // _TICKS):
        axes.vlines(tick, -0.12, 0, color=INK, lw=1)
        axes.text(tick, -0.2, str(tick), ha="center", va="bottom", fontsize=8)
    for number, clique in enumerate(bars):
        height = 0.35 + 0.28 * number
        for low, high in stretches(clique, order.tolist()):
            axes.hlines(height, found.average[low] - 0.04, found.average[high] + 0.04, color=INK, lw=3.5)
        axes.hlines(height, *found.average[[clique[0], clique[-1]]], color=INK, lw=0.8, ls=(0, (2, 2)))
    names = names_of(report)
    for place, arm in enumerate(order):
        left = place < half
        height = top + 0.55 * (place if left else len(arms) - 1 - place)
        end, rank = (0.95, found.average[arm]) if left else (len(arms) + 0.05, found.average[arm])
        axes.plot([rank, rank, end], [0, height, height], color=MUTED, lw=0.9)
        text = f"{names[arms[arm]]}  {rank:.2f} " if left else f" {rank:.2f}  {names[arms[arm]]}"
        axes.text(end, height, text, ha="right" if left else "left", va="center", fontsize=8)
    if not np.isnan(found.p):
        friedman = f"Friedman χ² = {found.statistic:.1f}, p {p_value(found.p)}, {found.patients} patients"
        axes.set_title(friedman, fontsize=8, color=MUTED, pad=10)
    return figure


def stretches(clique: Sequence[int], order: Sequence[int]) -> list[tuple[int, int]]:
    """Part a clique into stretches of arms that follow each other in rank: first and last arm of each.

    Args:
        clique: arms, best rank first.
        order: every arm, best rank first.
    """
    places = {arm: place for place, arm in enumerate(order)}
    found = [(clique[0], clique[0])]
    for arm in clique[1:]:
        low, high = found[-1]
        if places[arm] == places[high] + 1:
            found[-1] = (low, arm)
        else:
            found.append((arm, arm))
    return found
