"""Confusion matrices of models that also name a class."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.metrics.classification import balanced_accuracy, confusion_matrix, quadratic_kappa
from lungzoo.suites.report.figures.contract import report_figure
from lungzoo.suites.report.figures.style import INK, names_of, new_figure
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.results import ArmResults

_MOST = 4


@report_figure("labels", title="Are the classes right?", order=100)
def labels(report: Report) -> Any:
    """Confusion matrices of the first arms that predict classes, all runs together: true classes are rows, shares are
    of the row. Balanced accuracy and quadratic kappa are of the counts shown."""
    arms = [arm for arm in report.results.with_results if "label_true" in arm.extra][:_MOST]
    if not arms:
        return None
    figure, axes = new_figure(2.6, 1, len(arms))
    names = names_of(report)
    for panel, arm in zip(axes.ravel() if len(arms) > 1 else [axes], arms, strict=True):
        counts = _counts(arm)
        _draw(panel, counts, list(arm.config.labels))
        scores = f"accuracy {balanced_accuracy(counts):.2f}\nkappa {quadratic_kappa(counts):.2f}"
        panel.set_title(f"{names[arm.arm]}\n{scores}", fontsize=8)
    return figure


def _counts(arm: ArmResults) -> np.ndarray:
    true, predicted = arm.extra["label_true"].ravel(), arm.extra["label_predicted"].ravel()
    known = np.isfinite(true) & (true >= 0)
    return confusion_matrix(true[known].astype(int), predicted[known].astype(int), len(arm.config.labels))


def _draw(axes: Any, counts: np.ndarray, classes: list[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        ink = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(classes)), classes, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.spines[:].set_visible(False)
