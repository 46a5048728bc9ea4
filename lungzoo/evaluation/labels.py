"""How well classes are told apart: figures of a run over slices, and over volumes whose slices are averaged.

| missing                          | answer                                                           |
|----------------------------------|------------------------------------------------------------------|
| no case has a label              | no figures at all                                                |
| labelled cases are of one class  | AUC and its interval NaN; kappa NaN or 0; the others as they are |
| nothing was marked in a case     | it counts like any other: the classifier says what it then says  |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.metrics.calibration import CalibrationCounts
from lungzoo.metrics.classification import (
    balanced_accuracy,
    confusion_matrix,
    label_brier,
    macro_auc,
    quadratic_kappa,
)
from lungzoo.metrics.roc import roc_area

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_BINS = 10
PROBABILITY = "label_probability_"


def label_figures(scores: pd.DataFrame) -> dict[str, float]:
    """Return the figures of predicted classes, by name; {} without classes, or without a case that has a label.

    Args:
        scores: from `score_cases`.

    Returns:
        balanced_accuracy, quadratic_kappa (meant for ordered labels, such as Lung-RADS), macro_auc, brier and
        calibration_error (see `label_calibration`), each with "label_" before it; of two classes also auc of the
        second one with DeLong's interval, auc_low and auc_high. The same over volumes, with "label_volume_" before.
        Numbers of cases, volumes and patients with a label, and unmarked: those cases in which no pixel was marked.
    """
    known = scores[scores["label_true"] >= 0] if "label_true" in scores else scores[:0]
    if not len(known):
        return {}
    true, chances = known["label_true"].to_numpy(int), known[probability_columns(known)].to_numpy(float)
    predicted = known["label_predicted"].to_numpy(int)
    volumes = by_volume(known["volume"].to_numpy(str), true, chances)
    counts = {
        "label_cases": float(len(known)),
        "label_volumes": float(len(volumes[0])),
        "label_patients": float(known["patient"].nunique()),
        "label_unmarked": float((known["predicted_px"] == 0).sum()),
    }
    over_volumes = (
        _figures("label_volume_", volumes[1], volumes[2], volumes[2].argmax(axis=1)) if len(volumes[0]) else {}
    )
    return _figures("label_", true, chances, predicted) | over_volumes | counts


def probability_columns(columns: Iterable[Any]) -> list[str]:
    """Return those of the names of columns that hold probabilities of classes, in the order of the classes."""
    names = [name for name in map(str, columns) if name.startswith(PROBABILITY)]
    return sorted(names, key=lambda name: int(name.removeprefix(PROBABILITY)))


def by_volume(volumes: np.ndarray, true: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average the probabilities of each volume's slices; volumes whose slices differ in label are left out.

    Args:
        volumes: str (n,), the volume of each slice.
        true: int (n,), numbers of the classes from 0.
        chances: float (n, classes).

    Returns:
        For m volumes: names (m,), sorted; true classes (m,); mean probabilities (m, classes).
    """
    names, owner = np.unique(volumes, return_inverse=True)
    low, high = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
    np.minimum.at(low, owner, true)
    np.maximum.at(high, owner, true)
    sums = np.stack([np.bincount(owner, column, minlength=len(names)) for column in chances.T], axis=1)
    means = sums / np.bincount(owner, minlength=len(names))[:, None]
    same = low == high
    return names[same], low[same], means[same]


def label_calibration(true: np.ndarray, chances: np.ndarray) -> CalibrationCounts:
    """Count how often probabilities come true: that of the second of two classes, of more that of the likeliest one.

    Args:
        true: int (n,), numbers of the classes from 0.
        chances: float (n, classes).
    """
    if chances.shape[1] == 2:
        believed, right = chances[:, 1], true == 1
    else:
        believed, right = chances.max(axis=1), true == chances.argmax(axis=1)
    # Softmax in single precision may end a hair above 1.
    return CalibrationCounts.of(np.clip(believed.astype(np.float64), 0, 1), right, CALIBRATION_BINS)


def _figures(prefix: str, true: np.ndarray, chances: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    confusion = confusion_matrix(true, predicted, chances.shape[1])
    found = {
        "balanced_accuracy": balanced_accuracy(confusion),
        "quadratic_kappa": quadratic_kappa(confusion),
        "macro_auc": macro_auc(true, chances),
        "brier": label_brier(true, chances),
        "calibration_error": label_calibration(true, chances).expected_calibration_error,
    }
    if chances.shape[1] == 2:
        area = roc_area(true == 1, chances[:, 1])
        found |= {"auc": area.auc, "auc_low": area.low, "auc_high": area.high}
    return {prefix + name: value for name, value in found.items()}


def auc_in_words(figures: Mapping[str, float]) -> str:
    """Say how well classes are told apart; "" where no classes were predicted.

    Args:
        figures: of a run, with those of `label_figures`.
    """
    if "label_cases" not in figures:
        return ""
    auc = figures.get("label_auc", figures.get("label_macro_auc", math.nan))
    cases = f"{figures['label_cases']:.0f} labelled slices"
    if not math.isfinite(auc):
        return f"AUC of the classes is undefined: the {cases} are of one class."
    return f"AUC of the classes: {auc:.3f} over {cases}, without an interval here; reports of suites have it."
