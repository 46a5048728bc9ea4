"""The results of a suite as CSV: every run by group of cases, enough to work the table's means out again."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lungzoo.metrics.contract import METRICS
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.results import ArmResults, SuiteResults
from lungzoo.suites.report.strata import strata
from lungzoo.tracking.record import PlannedRun, RunRecord

GROUPS = ("lesion", "empty", "small")
_RUN = ("arm", "model", "recipe", "weights", "seed", "fold", "status", "reason")
_CASES = ("group", "cases", "patients")
_COUNTED = "_cases"
_DIGITS = 7  # those that single precision has


def to_csv(report: Report) -> str:
    """Return one row per run and group of cases; a run without results is one row without a group.

    The groups "lesion", "empty" and "small" share out the cases; "size: …" and "label: …" are parts of "lesion". Beside
    the mean of each metric, such as `dice`, stands over how many cases it is taken, `dice_cases`: those of which the
    metric says something. `val_dice`, costs and figures of predicted classes, such as `label_auc`, are those of the
    run, and repeat in each of its rows.
    """
    results = report.results
    metrics = [name for metric in results.metrics for name in (metric, metric + _COUNTED)]
    finished = [record for arm in results.arms for record in arm.finished]
    costs = dict.fromkeys(key for record in finished for key in (*record.cost, *_class_figures(record)))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_RUN, *_CASES, *metrics, "val_dice", *costs], restval="", lineterminator="\n")
    writer.writeheader()
    groups = _groups(results)
    for arm in results.arms:
        for run in arm.runs:
            writer.writerows(_rows(results, arm, run, groups))
    return text.getvalue()


def means_of(rows: Iterable[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Work out the figures of the table from rows of the CSV.

    Args:
        rows: as `csv.DictReader` reads them.

    Returns:
        {arm: {metric, val_dice or cost: mean}}; NaN where there is none.

    Raises:
        KeyError, ValueError: a column is absent, or is no number.
    """
    by_arm: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_arm[row["arm"]] += [row] if row["status"] == "finished" else []
    return {arm: _arm_means(found) if found else {} for arm, found in by_arm.items()}


def _groups(results: SuiteResults) -> list[tuple[str, np.ndarray]]:
    group = results.cases["group"].to_numpy(str)
    parts = [(f"{stratum.kind}: {stratum.title}", stratum.cases) for stratum in strata(results)]
    return [*((name, group == name) for name in GROUPS), *parts]


def _rows(
    results: SuiteResults, arm: ArmResults, run: PlannedRun, groups: list[tuple[str, np.ndarray]]
) -> Iterator[dict[str, Any]]:
    record = next((record for record in arm.records if record.fingerprint == run.fingerprint), None)
    about = _about(run, record)
    if record is None or record.status != "finished":
        yield about
        return
    about |= {key: _number(value) for key, value in (record.cost | _class_figures(record)).items()}
    about["val_dice"] = _number(record.validation["val_dice"])
    values = arm.values[arm.seeds.index(record.seed)].astype(np.float64)
    tested = np.ones(len(values), bool) if results.folds is None else results.folds == record.fold
    for name, members in groups:
        chosen = tested & members
        if chosen.any():
            patients = len(np.unique(results.patients[chosen]))
            counts = {"group": name, "cases": int(chosen.sum()), "patients": patients}
            yield about | counts | _means(results.metrics, values[chosen])


def _class_figures(record: RunRecord) -> dict[str, float]:
    return {key: value for key, value in record.curves.items() if key.startswith("label_")}


def _about(run: PlannedRun, record: RunRecord | None) -> dict[str, Any]:
    transfer, data = run.config["transfer"], run.config["data"]
    return {
        "arm": run.arm,
        "model": run.config["model"]["name"],
        "recipe": transfer["recipe"],
        "weights": transfer["weights"] or "random",
        "seed": run.seed,
        "fold": data["fold"] if data.get("folds") else "",
        "status": record.status if record else "pending",
        "reason": record.reason if record else "",
    }


def _means(metrics: tuple[str, ...], values: np.ndarray) -> dict[str, Any]:
    known = np.isfinite(values)
    totals, counts = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    cells: dict[str, Any] = {}
    for name, total, count in zip(metrics, totals, counts, strict=True):
        cells[name] = _number(total / count, _DIGITS) if count else ""
        cells[name + _COUNTED] = int(count)
    return cells


def _number(value: float, digits: int = 12) -> str:
    return f"{value:.{digits}g}" if math.isfinite(value) else ""


def _arm_means(rows: list[dict[str, str]]) -> dict[str, float]:
    names = list(rows[0])
    runs = list({(row["seed"], row["fold"]): row for row in rows}.values())
    found = {name: _mean_over_cases(rows, name) for name in names if name + _COUNTED in names}
    for name in names[names.index("val_dice") :]:
        found[name] = sum(_read(row[name]) for row in runs) / len(runs)
    return found


def _mean_over_cases(rows: list[dict[str, str]], metric: str) -> float:
    """Each case of each seed counts once."""
    over = METRICS.get(metric).over
    groups = ("lesion", "empty") if over == "all" else (over,)
    pairs = [(_read(row[metric]), int(row[metric + _COUNTED])) for row in rows if row["group"] in groups]
    cases = sum(count for _, count in pairs)
    return sum(mean * count for mean, count in pairs if count) / cases if cases else math.nan


def _read(cell: str) -> float:
    return float(cell) if cell else math.nan
