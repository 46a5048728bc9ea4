"""How a record and a plan read in a tracking store: tags to filter by, parameters, figures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from lungzoo.tracking.record import RunRecord, SuitePlan


def filter_tags(record: RunRecord) -> dict[str, str]:
    """Return the tags by which people filter runs."""
    config = record.config
    return {
        "arm": record.arm,
        "model": config["model"]["name"],
        "recipe": config["transfer"]["recipe"],
        "weights": config["transfer"]["weights"] or "none",
        "seed": str(record.seed),
        "fold": "none" if record.fold is None else str(record.fold),
        "dataset": record.dataset["name"],
        "phase": "benchmark",
        "mlflow.source.git.commit": record.environment.get("git_commit", ""),
    }


def final_metrics(record: RunRecord) -> dict[str, float]:
    """Return the figures of a run that is over, by name."""
    values = {f"test_{name}": interval["mean"] for name, interval in record.metrics.items()}
    values |= {f"test_{name}_ci_low": interval["low"] for name, interval in record.metrics.items()}
    values |= {f"test_{name}_ci_high": interval["high"] for name, interval in record.metrics.items()}
    values |= {f"test_{group}_n": float(count) for group, count in record.counts.items()}
    return values | {f"selected_{name}": value for name, value in record.validation.items()} | record.cost


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return nested values with dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plan_digest(plan: SuitePlan) -> str:
    """Return what tells plans apart, 32 hex digits."""
    return hashlib.sha256("\n".join(run.fingerprint for run in plan.runs).encode()).hexdigest()[:32]
