"""Bright discs in grey slices, whose split is known, and models that find what is bright."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.data.splits.split import split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.inference.predictor import Predictor
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import TrainedOn


@pytest.fixture
def make_member(
    make_predictor: Callable[..., Predictor], phantom: PreparedDataset, tmp_path: Path
) -> Callable[..., Predictor]:
    """A model of the phantom's split, with a weights file; `patients` changes who was used for what."""
    from lungzoo.config import DataConfig

    data = {"val_fraction": 0.2, "test_fraction": 0.3}
    split = split_patients(phantom.cases, DataConfig.model_validate(data), phantom.fingerprint)

    def make(
        level: float = 0.9,
        name: str = "hand-made",
        patients: dict[str, Any] | None = None,
        shift_px: int = 0,
        inherited: dict[str, Any] | None = None,
    ) -> Predictor:
        protocol = {"data": data, "score": {"threshold": 0.5, "shift_px": shift_px}}
        made = make_predictor(level=level, name=name, protocol=protocol)
        file = tmp_path / f"{name}.npz"
        who = {"train": split.train, "val": split.val, "test": split.test, **(patients or {})}
        about = {"dataset": "phantom", "fingerprint": phantom.fingerprint, "split_seed": 0, "patients": who}
        trained_on = TrainedOn.model_validate({**about, "inherited": inherited or {}})
        changes = {"trained_on": trained_on, "sha256": write_weights(made.model, file), "file": file.name}
        manifest = made.manifest.model_copy(update={**changes, "size_bytes": file.stat().st_size})
        return replace(made, manifest=manifest, file=file)

    return make


class Watched(np.ndarray):
    """An array that remembers which rows were read."""

    read: set[int]

    def __getitem__(self, key: Any) -> Any:
        rows = key[0] if isinstance(key, tuple) else key
        if np.ndim(self) == 3:
            self.read.update(np.arange(len(self))[rows].ravel().tolist())
        return np.asarray(super().__getitem__(key))


@pytest.fixture
def watched(phantom: PreparedDataset) -> PreparedDataset:
    """The phantom with arrays that remember which rows were read, in `images.read` and `masks.read`."""
    dataset = phantom.without(np.array([], int))
    for name in ("images", "masks"):
        view = np.asarray(getattr(phantom, name)).view(Watched)
        view.read = set()
        setattr(dataset, name, view)
    return dataset
