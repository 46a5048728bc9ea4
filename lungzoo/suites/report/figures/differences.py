"""Every arm against every other."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import INK, names_of, new_figure
from lungzoo.suites.report.report import Report

_MOST_WITH_TEXT = 14


@report_figure("differences", title="Which differences hold up?", order=20)
def differences(report: Report) -> Any:
    """Arm of the row minus arm of the column, patient by patient. Bold with ∗: told apart after Holm's correction over
    all pairs (5%); pale: not told apart, which is not the same as equal."""
    comparison = report.analysis.comparison
    if comparison is None:
        return None
    arms, metric = report.analysis.compared, report.analysis.primary
    matrix = np.zeros((len(arms), len(arms)))
    matrix[comparison.first, comparison.second] = comparison.difference
    matrix[comparison.second, comparison.first] = -comparison.difference
    names = [names_of(report)[arm] for arm in arms]
    figure, axes = new_figure(min(1.6 + 0.42 * len(arms), 8.5))
    limit = max(float(np.abs(matrix).max()), 1e-9)
    faded = np.where(comparison.different, matrix, 0.35 * matrix)
    shades = "RdBu" if metric.better == "higher" else "RdBu_r"
    axes.imshow(faded, cmap=shades, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(arms)), names, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(arms)), names)
    axes.spines[:].set_visible(False)
    if len(arms) <= _MOST_WITH_TEXT:
        _write(axes, matrix, comparison.different, metric.digits, limit)
    return figure


def _write(axes: Any, matrix: np.ndarray, different: np.ndarray, digits: int, limit: float) -> None:
    for row, column in np.ndindex(matrix.shape):
        if row == column:
            axes.text(column, row, "–", ha="center", va="center", fontsize=8, color=INK)
            continue
        apart = bool(different[row, column])
        dark = apart and abs(matrix[row, column]) > 0.6 * limit
        axes.text(
            column, row, f"{matrix[row, column]:+z.{digits}f}{'∗' if apart else ''}", ha="center", va="center",
            fontsize=8, color="white" if dark else INK, fontweight="bold" if apart else "normal",
        )  # fmt: skip
