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
    record: RunRecord, model: ModelConfig, split: Split, file: Path, sha256: str, inherited: Inherited | None = None
) -> WeightsManifest:
    """Return the manifest of a finished run's weights.

    Args:
        record: of the run, with its metrics.
        model: the model that was trained.
        split: who was used for what.
        file: the weights file.
        sha256: of the file.
        inherited: what the weights that training started from had learnt from; None for nothing.
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
        "attribution": data["citation"],
        "trained_on": {
            "dataset": data["name"],
            "fingerprint": data["fingerprint"],
            "split_seed": split.split_seed,
            "slice_px": data.get("slice_px"),
            "patients": {part: getattr(split, part) for part in PARTS},
            "inherited": (inherited or Inherited()).model_dump(),
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
