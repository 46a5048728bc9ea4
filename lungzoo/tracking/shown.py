"""How a record and a plan read in a tracking store: tags to filter by, parameters, figures.

MLflow's page of charts has a section for what stands before the slash of a metric's name, and a chart for each metric.
So there are few: every figure, with its interval, is in the table `metrics.json` and in `record.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from lungzoo.tracking.record import RunRecord, SuitePlan

KIND = "lungzoo.kind"
"""Tag that tells runs ("run") from the means of an arm ("arm") and the suite ("suite"), and trials ("trial") from their
search ("search")."""

NO_CHART = ("absolute_area_error_mm2", "absolute_volume_error_mm3", "area_error", "assd_mm", "hd_mm", "specificity")
"""Metrics that are seldom read, or told by another."""
_USAGE = ("params", "trainable_params", "gmacs", "inference_ms", "train_seconds", "peak_memory_mb")


def filter_tags(record: RunRecord) -> dict[str, str]:
    """Return the tags by which people filter runs."""
    return {
        **arm_tags(record),
        "seed": str(record.seed),
        "fold": "none" if record.fold is None else str(record.fold),
        "mlflow.source.git.commit": record.environment.get("git_commit", ""),
        **_trial_tags(record),
    }


def _trial_tags(record: RunRecord) -> dict[str, str]:
    if not record.trial:
        return {}
    reason = {"reason": record.reason[:250]} if record.reason else {}
    about = {"trial" if key == "number" else key: str(value) for key, value in record.trial.items()}
    return {**about, **reason, "phase": "enhancement", "state": about.get("state", "running")}


def arm_tags(record: RunRecord) -> dict[str, str]:
    """Return those that all runs of an arm share."""
    transfer = record.config["transfer"]
    return {
        "arm": record.arm,
        "model": record.config["model"]["name"],
        **record.parts,
        "recipe": transfer["recipe"],
        "weights": transfer["weights"] or "none",
        "dataset": record.dataset["name"],
        "phase": "transfer" if transfer["weights"] else "baseline",
    }


def epoch_metrics(row: dict[str, float]) -> dict[str, float]:
    """Return one epoch's metrics by their names in the store: "val_dice" is "val/dice", "loss" is "train/loss"."""
    return {
        f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}": value
        for name, value in row.items()
    }


def final_metrics(record: RunRecord, with_interval: tuple[str, ...] = ("dice",)) -> dict[str, float]:
    """Return the figures of a run that is over, by name.

    Args:
        record: of the run.
        with_interval: metrics whose interval gets charts, too.
    """
    values: dict[str, float] = {}
    for name, found in record.metrics.items():
        if name not in NO_CHART:
            values[f"test/{name}"] = found["mean"]
        if name in with_interval:
            values |= {f"test/{name}_ci_low": found["low"], f"test/{name}_ci_high": found["high"]}
    if "lesion" in record.counts:
        values["test/lesion_cases"] = float(record.counts["lesion"])
    chosen = {"val_dice": "val/best_dice", "epoch": "val/best_epoch"}
    values |= {shown: record.validation[name] for name, shown in chosen.items() if name in record.validation}
    return values | {f"usage/{name}": record.cost[name] for name in _USAGE if name in record.cost}


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return nested values with dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plan_digest(plan: SuitePlan) -> str:
    """Return what tells plans of different runs apart, 32 hex digits; their words and primary metric may change."""
    return hashlib.sha256("\n".join(run.fingerprint for run in plan.runs).encode()).hexdigest()[:32]
