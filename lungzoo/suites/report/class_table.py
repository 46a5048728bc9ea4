"""The figures of predicted classes as a grid of text, shared by every rendering."""

from __future__ import annotations

import math

from lungzoo.suites.report.columns import area_of
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.numbers import number, with_interval
from lungzoo.suites.report.table import ResultTable, Row

HEADINGS = (
    "Arm", "Unit", "AUC [95% CI]", "DeLong", "Balanced accuracy [95% CI]", "Kappa", "Brier", "ECE", "Val AUC",
)  # fmt: skip
LEGEND = (
    "AUC of the second of two classes, of more the mean of each against the rest; [ ]: patients and runs resampled, "
    "2000 times at most. "
    "DeLong's interval takes slices for independent. Kappa: quadratic, for ordered classes. Brier score and ECE "
    "(expected calibration error, 10 bins) are of the classes' probabilities, not of pixels. Val AUC: of validation "
    "slices. Means over runs."
)


def class_grid(table: ResultTable) -> list[list[str]]:
    """Return a row per arm and unit under `HEADINGS`, arms by their short names; [] where none predicts classes."""
    rows, names = [], short_names([row.arm for row in table.rows])[0]
    for row in table.rows:
        for prefix, unit in (("label_", "slice"), ("label_volume_", "volume")):
            if any(prefix + name in row.classes for name in ("auc", "macro_auc")):
                rows.append([names[row.arm], unit, *_cells(row, prefix)])
    return rows


def _cells(row: Row, prefix: str) -> list[str]:
    area = area_of(row, prefix)
    ends = (area["delong_low"], area["delong_high"])
    delong = f"[{number(ends[0])}, {number(ends[1])}]" if all(map(math.isfinite, ends)) else "–"
    plain = [number(row.classes[prefix + name]["mean"]) for name in ("quadratic_kappa", "brier", "calibration_error")]
    validation = number(row.classes["val_label_auc"]["mean"]) if prefix == "label_" else "–"
    return [with_interval(area), delong, with_interval(row.classes[prefix + "balanced_accuracy"]), *plain, validation]
