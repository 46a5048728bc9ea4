"""The comparison table as data: one row per arm, whatever became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lungzoo.statistics.paired import Comparison
from lungzoo.suites.plain import plain
from lungzoo.suites.report.analysis import Analysis
from lungzoo.suites.report.classes import NO_CLASSES, Classes
from lungzoo.suites.report.enhancement import enhancement_in_words
from lungzoo.suites.report.protocol import UNKNOWN_PATIENTS, names_patients, protocol_in_words
from lungzoo.suites.report.results import ArmResults, SuiteResults
from lungzoo.tracking.record import SuitePlan


@dataclass(frozen=True)
class Row:
    """One arm.

    Args:
        arm: its name.
        recipe: human name of the transfer recipe.
        status: "finished", "skipped", "failed", "pending", "2 of 3 seeds" or, with folds, "7 of 10 runs".
        reason: why it was skipped or failed.
        outcomes: status of each of its runs that is over, in the order of the seeds.
        seeds: seeds with a finished run.
        val_dice: best validation Dice, mean over seeds; NaN without a finished run.
        metrics: {metric: {mean, low, high, cases, patients, seeds, over_seeds}} on the test split, or on those of all
            folds together; {} without a finished run.
        pooled: {metric: value} of all pixels together, mean over runs.
        letters: groups of arms that cannot be told apart; "" where the arm is not compared.
        cost: params, gmacs, weights_mb, train_seconds, peak_memory_mb, inference_ms, …; means over runs.
        selected: the arm with the best validation Dice above 0 among those whose runs are all finished.
        classes: {figure: {mean, low, high}} of predicted classes, see `classes.py`; {} where the arm predicts none.
    """

    arm: str
    recipe: str
    status: str
    reason: str
    outcomes: tuple[str, ...]
    seeds: tuple[int, ...]
    val_dice: float
    metrics: dict[str, dict[str, float]]
    pooled: dict[str, float]
    letters: str
    cost: dict[str, float]
    selected: bool = False
    classes: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultTable:
    """Everything a rendering of the table needs.

    Args:
        plan: what was asked for.
        rows: best validation Dice first.
        protocol: how the figures came about, in words.
        remarks: what the figures can and cannot show, in words.
    """

    plan: SuitePlan
    rows: tuple[Row, ...]
    protocol: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "suite": self.plan.name,
            "title": self.plan.title,
            "dataset": self.plan.dataset,
            "primary_metric": self.plan.primary_metric,
            "protocol": list(self.protocol),
            "remarks": list(self.remarks),
            "rows": [plain(_values(row)) for row in self.rows],
        }


def table_of(results: SuiteResults, analysis: Analysis, classes: Classes = NO_CLASSES) -> ResultTable:
    """Return the table of results that are analysed already."""
    best = next((arm.arm for arm in results.arms if arm.complete and arm.val_dice > 0), None)
    rows = tuple(_row(arm, analysis, classes, arm.arm == best) for arm in results.arms)
    finished = [record for arm in results.arms for record in arm.finished]
    remarks = [analysis.resolution.sentence] if analysis.resolution else []
    if analysis.comparison is not None:
        remarks.insert(
            0,
            f"Arms that share a letter are not told apart: paired test {over_what(analysis.comparison)}, "
            f"Holm-corrected over {len(analysis.comparison.p)} pair(s), 5%.",
        )
    enhanced = enhancement_in_words(results.plan.tuned, analysis.primary, analysis.comparison, analysis.compared)
    unknown = [] if all(names_patients(record.split) for record in finished) else [UNKNOWN_PATIENTS]
    remarks = [*_nothing_learned(results), *enhanced, *remarks, *unknown, *classes.remarks, *analysis.notes]
    return ResultTable(results.plan, rows, protocol_in_words(results.plan, finished), tuple(remarks))


def _nothing_learned(results: SuiteResults) -> list[str]:
    complete = [arm for arm in results.arms if arm.complete]
    if not complete or any(arm.val_dice > 0 for arm in complete):
        return []
    return [
        "No arm found any lesion of the validation split (Dice 0), so none is chosen, and the differences between them "
        "mean nothing. Train for more epochs, or look at the data with: lungzoo data show"
    ]


def over_what(comparison: Comparison) -> str:
    """Say what the tests of a comparison ask about."""
    return "over patients and seeds" if comparison.over_seeds.all() else "over patients"


def _row(arm: ArmResults, analysis: Analysis, classes: Classes, selected: bool) -> Row:
    return Row(
        arm=arm.arm,
        recipe=arm.recipe,
        status=arm.status,
        reason=arm.reason,
        outcomes=tuple(record.status for record in arm.records),
        seeds=arm.seeds,
        val_dice=arm.val_dice,
        metrics=analysis.figures.get(arm.arm, {}),
        pooled=means_over_runs([record.pooled for record in arm.finished]),
        letters=analysis.letters(arm.arm),
        cost=means_over_runs([record.cost for record in arm.finished]),
        selected=selected,
        classes=classes.figures.get(arm.arm, {}),
    )


def means_over_runs(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return means of figures over runs, each over the runs that have it; NaN where none does."""
    found = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        known = [run[name] for run in runs if math.isfinite(run.get(name, math.nan))]
        found[name] = sum(known) / len(known) if known else math.nan
    return found


def of_curves(arm: ArmResults) -> dict[str, float]:
    """Return figures of calibration and detection of an arm, means over runs; those of classes have a table."""
    found = means_over_runs([record.curves for record in arm.finished])
    return {name: value for name, value in found.items() if not name.startswith("label_")}


def _values(row: Row) -> dict[str, Any]:
    """Return plain values; of arms that predict no classes what they were before there were any."""
    values = asdict(row)
    return values if row.classes else {key: value for key, value in values.items() if key != "classes"}
