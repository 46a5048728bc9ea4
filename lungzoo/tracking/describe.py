"""What a record and a weights manifest say of a run's data and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.config import ModelConfig
from lungzoo.data.splits.split import PARTS, Split
from lungzoo.data.store import PreparedDataset
from lungzoo.schema import parse
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.manifest import Inherited, WeightsManifest


def describe_dataset(dataset: PreparedDataset) -> dict[str, Any]:
    """Return what a record says of its dataset."""
    about = {key: dataset.info.get(key, "") for key in ("reader", "title", "licence", "citation")}
    patients = int(dataset.cases["patient"].nunique())
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        **about,
        "slices": len(dataset),
        "slice_px": list(dataset.images.shape[1:3]),
        "patients": patients,
    }


def describe_split(split: Split, rows: dict[str, np.ndarray], leakage: str = "") -> dict[str, Any]:
    """Return what a record says of its split; `leakage` is what was let pass."""
    return {
        "fingerprint": split.fingerprint,
        "split_seed": split.split_seed,
        "scheme": split.scheme,
        "grouping": split.grouping,
        "leakage": leakage,
        "patients": {part: len(getattr(split, part)) for part in PARTS},
        "slices": {part: len(rows[part]) for part in PARTS},
    }


def weights_manifest(
    record: RunRecord, model: ModelConfig, split: Split, file: Path, sha256: str, start: WeightsManifest | None = None
) -> WeightsManifest:
    """Return the manifest of a finished run's weights.

    Args:
        record: of the run, with its metrics.
        model: the model that was trained.
        split: who was used for what.
        file: the weights file.
        sha256: of the file.
        start: what is known of the weights that training started from; None for Keras's or none.
    """
    data = record.dataset
    values = {
        "name": f"run-{record.fingerprint[:12]}",
        "title": f"{record.arm}, seed {record.seed}",
        "model": model.model_dump(mode="json"),
        "file": file.name,
        "sha256": sha256,
        "size_bytes": file.stat().st_size,
        "source": record.config["transfer"]["weights"] or "random",
        "licence": data["licence"],
        "attribution": "; ".join(filter(None, (data["citation"], _credit(start)))),
        "trained_on": {
            "dataset": data["name"],
            "fingerprint": data["fingerprint"],
            "split_seed": split.split_seed,
            "slice_px": data.get("slice_px"),
            "patients": {part: getattr(split, part) for part in PARTS},
            "inherited": (start.passed_on() if start else Inherited()).model_dump(),
        },
        "protocol": {
            **{key: record.config[key] for key in ("data", "augment", "transfer", "train", "score")},
            "intensity": record.environment.get("intensity", {}),
        },
        "metrics": {name: values for name, values in record.metrics.items() if values["cases"]},
        "created": record.started[:10],
        "lungzoo_version": str(record.environment.get("packages", {}).get("lungzoo", "")),
    }
    return parse(WeightsManifest, values, "Manifest")


def _credit(start: WeightsManifest | None) -> str:
    """Return whom the weights that training started from name, with their licence."""
    if start is None or not (start.attribution or start.licence):
        return ""
    licence = f" ({start.licence})" if start.licence else ""
    return f"started from {start.name}{licence}{f': {start.attribution}' if start.attribution else ''}"
