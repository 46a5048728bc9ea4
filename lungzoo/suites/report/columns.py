"""The columns of the comparison table and how their cells read, shared by every rendering."""

from __future__ import annotations

import math

from lungzoo.suites.report.table import ResultTable, Row

HEADINGS = (
    "Arm",
    "Transfer",
    "Val Dice",
    "{primary} [95% CI]",
    "IoU",
    "Precision",
    "Recall",
    "FP",
    "Params",
    "Train",
    "Memory",
)
# What a narrow rendering leaves out, first to last.
SECONDARY = ("Memory", "Train", "Params", "FP", "Recall", "Precision", "IoU")


def headings(table: ResultTable) -> list[str]:
    """Return the column headings; the primary metric is named in the fourth."""
    primary = {"dice": "Test Dice", "iou": "Test IoU"}[table.plan.primary_metric]
    return [heading.format(primary=primary) for heading in HEADINGS]


def cells(row: Row, table: ResultTable) -> list[str]:
    """Return the cells of an arm with results."""
    primary = row.metrics[table.plan.primary_metric]
    interval = f" [{primary['low']:.3f}, {primary['high']:.3f}]" if math.isfinite(primary["low"]) else ""
    return [
        row.arm + (" ★" if row.selected else ""),
        row.recipe,
        number(row.val_dice),
        number(primary["mean"]) + interval,
        *(number(row.metrics[name]["mean"]) for name in ("iou", "precision", "recall", "false_positive_rate")),
        f"{row.cost['params'] / 1e6:.2f} M",
        duration(row.cost["train_seconds"]),
        f"{row.cost['peak_memory_mb'] / 1000:.1f} GB",
    ]


def verdict(row: Row) -> str:
    """Return what stands in the place of figures for an arm without results."""
    return f"{row.status}: {row.reason}" if row.reason else row.status


def number(value: float) -> str:
    """Return three decimals, or a dash for NaN."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def duration(seconds: float) -> str:
    """Return "48 s", "3 m 20 s" or "2 h 05 m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
