"""The columns of the comparison table and how their cells read, shared by every rendering."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lungzoo.metrics.contract import METRICS
from lungzoo.suites.report.numbers import MIN_EMPTY, duration, number, with_interval
from lungzoo.suites.report.table import ResultTable, Row

# Metrics beside the primary one, most telling first.
_METRICS = (
    "iou",
    "precision",
    "recall",
    "hd95_mm",
    "nsd",
    "lesion_sensitivity",
    "false_positive_lesions",
    "false_positive_rate",
)
_SHORT = {
    "hd95_mm": "HD95",
    "nsd": "NSD",
    "lesion_sensitivity": "Lesions found",
    "false_positive_lesions": "FP lesions",
    "false_positive_rate": "FP",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: above it.
        cell: what it shows of an arm with results.
        value: what it is sorted by; NaN where there is none.
        rank: of importance; where room is short, the highest goes first, and 0 never goes.
        about: one line, for a legend or a tooltip.
    """

    heading: str
    cell: Callable[[Row], str]
    value: Callable[[Row], float | str]
    rank: int
    about: str


def columns(table: ResultTable) -> list[Column]:
    """Return the columns in their order; figures that no arm has are left out."""
    rows = [row for row in table.rows if row.seeds]
    found = [*_identity(), *_scores(table), *_costs()]
    return [column for column in found if column.rank == 0 or any(_known(column.value(row)) for row in rows)]


def verdict(row: Row) -> str:
    """Return what stands in the place of figures for an arm without results."""
    return f"{row.status}: {row.reason}" if row.reason else row.status


def area_of(row: Row, prefix: str = "label_") -> dict[str, float]:
    """Return the area under the ROC curve of an arm, of two classes or of more; {} without one."""
    return row.classes.get(prefix + "auc") or row.classes.get(prefix + "macro_auc") or {}


def _identity() -> list[Column]:
    return [
        Column("Arm", lambda row: row.arm + (" ★" if row.selected else ""), lambda row: row.arm, 0, "★: chosen"),
        Column("Transfer", lambda row: row.recipe, lambda row: row.recipe, 9, "What is taken over and what trains"),
        Column("Val Dice", lambda row: number(row.val_dice), lambda row: row.val_dice, 0, "Best validation Dice"),
    ]


def _scores(table: ResultTable) -> list[Column]:
    primary = METRICS.get(table.plan.primary_metric)
    found = [
        Column(
            f"Test {primary.title} [95% CI]",
            lambda row: with_interval(row.metrics[primary.name], primary.digits),
            lambda row: row.metrics[primary.name]["mean"],
            0,
            primary.description,
        ),
        Column("Group", lambda row: row.letters, lambda row: row.letters, 1, "Same letter: not told apart"),
    ]
    names = [name for name in _METRICS if name != primary.name]
    return found + _classes() + [_metric_column(name, rank) for rank, name in enumerate(names, 3)]


def _classes() -> list[Column]:
    def balanced(row: Row) -> float:
        return row.classes.get("label_balanced_accuracy", {}).get("mean", math.nan)

    return [
        Column(
            "AUC [95% CI]",
            lambda row: with_interval(area_of(row)) if area_of(row) else "–",
            lambda row: area_of(row).get("mean", math.nan),
            1,
            "Area under the ROC curve of the predicted classes, over slices",
        ),
        Column("Bal. acc.", lambda row: number(balanced(row)), balanced, 2, "Mean recall of the predicted classes"),
    ]


def _metric_column(name: str, rank: int) -> Column:
    metric = METRICS.get(name)
    heading = _SHORT.get(name, metric.title) + (f" ({metric.unit})" if metric.unit else "")
    return Column(
        heading,
        lambda row: number(_mean(row, name), metric.digits),
        lambda row: _mean(row, name),
        rank,
        f"{metric.title}: {metric.description}",
    )


def _mean(row: Row, metric: str) -> float:
    figure = row.metrics.get(metric, {})
    few = METRICS.get(metric).over == "empty" and figure.get("cases", MIN_EMPTY) < MIN_EMPTY
    return math.nan if few else figure.get("mean", math.nan)


def _costs() -> list[Column]:
    def cost(key: str) -> Callable[[Row], float]:
        return lambda row: row.cost.get(key, math.nan)

    def shown(key: str, unit: str, scale: float, digits: int) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            value = cost(key)(row) / scale
            return f"{value:.{_decimals(value, digits)}f} {unit}" if math.isfinite(value) else "–"

        return cell

    def lasted(row: Row) -> str:
        return duration(cost("train_seconds")(row))

    return [
        Column("Params", shown("params", "M", 1e6, 2), cost("params"), 12, "Parameters of the network"),
        Column("GMACs", shown("gmacs", "", 1, 2), cost("gmacs"), 13, "Multiply-adds of one slice, in 10⁹"),
        Column("Predict", shown("inference_ms", "ms", 1, 1), cost("inference_ms"), 14, "Time of one slice, median"),
        Column("Weights", shown("weights_mb", "MB", 1, 1), cost("weights_mb"), 17, "Size of the weights file"),
        Column("Train", lasted, cost("train_seconds"), 15, "Training time of one run"),
        Column("Memory", shown("peak_memory_mb", "GB", 1000, 1), cost("peak_memory_mb"), 16, "Peak of one run"),
    ]


def _decimals(value: float, digits: int) -> int:
    """Return how many decimals show the first digit of a small value."""
    return max(digits, -math.floor(math.log10(value))) if 0 < value < 1 else digits


def _known(value: float | str) -> bool:
    return bool(value) if isinstance(value, str) else math.isfinite(value)
