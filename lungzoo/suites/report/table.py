"""The comparison table as data: one row per arm, whatever became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import ExperimentConfig
from lungzoo.evaluation.score import METRICS, summarise
from lungzoo.models.transfer import RECIPES
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan
from lungzoo.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd


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
        metrics: {metric: {mean, low, high, cases, patients}}, per-case means over seeds on the test split, or on
            those of all folds together.
        cost: params, train_seconds, peak_memory_mb; means over seeds.
        selected: the arm with the best validation Dice among those whose seeds are all finished.
    """

    arm: str
    recipe: str
    status: str
    reason: str
    outcomes: tuple[str, ...]
    seeds: tuple[int, ...]
    val_dice: float
    metrics: dict[str, dict[str, float]]
    cost: dict[str, float]
    selected: bool = False


@dataclass(frozen=True)
class ResultTable:
    """Everything a rendering needs: the plan, the rows (best validation Dice first), the protocol in words."""

    plan: SuitePlan
    rows: tuple[Row, ...]
    protocol: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "suite": self.plan.name,
            "title": self.plan.title,
            "dataset": self.plan.dataset,
            "primary_metric": self.plan.primary_metric,
            "protocol": list(self.protocol),
            "rows": [_without_nan(asdict(row)) for row in self.rows],
        }


def build_table(plan: SuitePlan, tracker: Tracker) -> ResultTable:
    """Read the records of a plan and summarise them; works on a suite that is half done."""
    records = tracker.find([run.fingerprint for run in plan.runs])
    by_arm: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        by_arm.setdefault(run.arm, []).append(run)
    rows = [_row(arm, runs, records, tracker) for arm, runs in by_arm.items()]
    rows.sort(key=lambda row: -row.val_dice if row.seeds else np.inf)
    best = next((number for number, row in enumerate(rows) if row.status == "finished"), None)
    if best is not None:
        rows[best] = replace(rows[best], selected=True)
    finished = [record for record in records.values() if record.status == "finished"]
    return ResultTable(plan, tuple(rows), _protocol(plan, finished))


def _without_nan(value: Any) -> Any:
    """Replace NaN by None, which JSON has a word for."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _row(arm: str, runs: list[PlannedRun], records: dict[str, RunRecord], tracker: Tracker) -> Row:
    config = ExperimentConfig.model_validate(runs[0].config)
    found = [records[run.fingerprint] for run in runs if run.fingerprint in records]
    finished = [record for record in found if record.status == "finished"]
    status, reason = _status(runs, found, finished)
    return Row(
        arm=arm,
        recipe=RECIPES.get(config.transfer.recipe).title,
        status=status,
        reason=reason,
        outcomes=tuple(record.status for record in found),
        seeds=tuple(dict.fromkeys(record.seed for record in finished)),
        val_dice=float(np.mean([r.validation["val_dice"] for r in finished])) if finished else float("nan"),
        metrics=_metrics(finished, config, tracker),
        cost={key: float(np.mean([r.cost[key] for r in finished])) for key in finished[0].cost} if finished else {},
    )


def _status(runs: list[PlannedRun], found: list[RunRecord], finished: list[RunRecord]) -> tuple[str, str]:
    reasons = [record for record in found if record.status != "finished"]
    if len(finished) == len(runs):
        return "finished", ""
    reason = reasons[0].reason if reasons else ""
    if finished:
        return f"{len(finished)} of {len(runs)} {'seeds' if finished[0].fold is None else 'runs'}", reason
    return (reasons[0].status, reason) if reasons else ("pending", "")


def _metrics(finished: list[RunRecord], config: ExperimentConfig, tracker: Tracker) -> dict[str, dict[str, float]]:
    if len(finished) < 2:
        return finished[0].metrics if finished else {}
    by_fold: dict[int | None, list[pd.DataFrame]] = {}
    for record in finished:
        by_fold.setdefault(record.fold, []).append(tracker.case_scores(record.fingerprint))
    return summarise(pool_folds([mean_over_seeds(tables) for tables in by_fold.values()]), config.score)


def pool_folds(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the cases of all folds into one table: each patient is tested in one fold."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def mean_over_seeds(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Average each case's metrics over seeds, so that an interval over patients is one of the arm, not of a run."""
    mean = tables[0].copy()
    for name in (*METRICS, "predicted_px", "marked"):
        mean[name] = np.mean([table.set_index("case")[name].loc[mean["case"]].to_numpy() for table in tables], axis=0)
    return mean


def _protocol(plan: SuitePlan, finished: list[RunRecord]) -> tuple[str, ...]:
    data = plan.dataset
    lines = [f"Dataset {data['name']}: {data['title']}, {data['licence']}; fingerprint {data['fingerprint'][:12]}."]
    if not finished:
        return tuple(lines)
    record = finished[0]
    per_fold = {record.fold: record for record in finished}
    counts = {key: sum(each.counts[key] for each in per_fold.values()) for key in record.counts}
    lines += [_split_in_words(each.split) for _, each in sorted(per_fold.items(), key=lambda pair: pair[0] or 0)]
    smallest = record.config["score"]["min_lesion_px"]
    small = f"; {counts['small']} with a lesion under {smallest} px left out" if smallest > 1 else ""
    lines.append(f"Test: {counts['lesion']} slices with a lesion, {counts['empty']} without{small}.")
    seeds = sorted({record.seed for record in finished})
    over = f", means over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f", seed {seeds[0]}"
    lines.append("Chosen on the validation split alone: best epoch of each run, order of the rows, ★.")
    lines.append(f"Test split predicted once per run{over}. [ ]: 95% interval, bootstrap over patients.")
    lines.append(
        "Dice, IoU, precision, recall: mean over slices with a lesion. FP: share of lesion-free slices marked."
    )
    lines += sorted({text for record in finished if (text := record.split["leakage"])})
    return tuple(lines)


def _split_in_words(split: dict[str, Any]) -> str:
    """Say how patients were dealt: "Split by patient, seed 0: train/val/test 9/3/4 patients, …"."""
    kept = "groups of patients that near-duplicate slices link" if split["grouping"] == "near" else "patient"
    scheme = "" if split["scheme"] == "random" else f", {split['scheme']}"
    patients = "/".join(str(split["patients"][part]) for part in ("train", "val", "test"))
    slices = "/".join(str(split["slices"][part]) for part in ("train", "val", "test"))
    dealt = f"train/val/test {patients} patients, {slices} slices"
    return f"Split by {kept}{scheme}, seed {split['split_seed']}: {dealt}."
