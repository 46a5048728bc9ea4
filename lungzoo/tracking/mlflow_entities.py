"""Plain values as what MLflow's client takes."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from lungzoo.tracking.shown import flatten


def metrics_at(values: dict[str, float], step: int) -> list[Metric]:
    """Return metrics of one step; what is not finite is left out, since databases have no word for it.

    MLflow draws a metric whose last step is 0 as a bar, and others as a line.
    """
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for name, value in values.items() if math.isfinite(value)]


def params_of(config: dict[str, Any]) -> list[Param]:
    """Return an experiment's settings, nested keys with dots."""
    return [Param(key, str(value)[:6000]) for key, value in flatten(config)]


def tags_of(values: dict[str, str]) -> list[RunTag]:
    """Return tags."""
    return [RunTag(key, value) for key, value in values.items()]


def dataset_inputs(data: dict[str, Any]) -> list[DatasetInput]:
    """Return a dataset as what a run was trained and tested on; its fingerprint is the digest."""
    profile = {key: data[key] for key in ("slices", "patients", "licence", "citation") if key in data}
    dataset = Dataset(
        name=data["name"],
        digest=data["fingerprint"][:12],
        source_type="local",
        source=json.dumps({"reader": data.get("reader", "")}),
        profile=json.dumps(profile),
    )
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", context)]) for context in ("training", "testing")]
