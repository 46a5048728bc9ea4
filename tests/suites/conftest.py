"""A suite of which only its results exist, made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.evaluation.score import slice_metrics
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan

DATASET = {"name": "d", "title": "D", "licence": "CC0-1.0", "fingerprint": "d" * 64, "slices": 30, "patients": 9}
SPLIT = {
    "fingerprint": "s" * 64, "split_seed": 0, "scheme": "random", "grouping": "patient", "leakage": "",
    "patients": {"train": 9, "val": 3, "test": 4}, "slices": {"train": 9, "val": 3, "test": 4},
}  # fmt: skip
COST = {
    "params": 2_500_000, "trainable_params": 1, "gmacs": 0.42, "inference_ms": 7.25, "weights_mb": 9.9,
    "train_seconds": 125.0, "seconds_per_epoch": 20.0, "peak_memory_mb": 1500.0,
}  # fmt: skip


@dataclass
class Study:
    """Plans runs and keeps their results in a tracker."""

    tracker: Any
    runs: list[PlannedRun] = field(default_factory=list)

    def plan(self, transfer: str = "scratch", seed: int = 0, fold: int | None = None, folds: int = 2) -> PlannedRun:
        """Ask for a run without carrying it out."""
        data = {} if fold is None else {"folds": folds, "fold": fold}
        config = ExperimentConfig(
            model={"name": "unet_mobilenetv2"}, transfer=transfer, train={"train_seed": seed}, data=data
        )
        name = f"{transfer}-{seed}-{fold}".ljust(64, "0")
        run = PlannedRun(name, config.arm, seed, config.model_dump(mode="json"))
        self.runs.append(run)
        return run

    def finish(self, run: PlannedRun, cases: pd.DataFrame | None, val_dice: float = 0.5, **changes: Any) -> RunRecord:
        """Keep a finished run; a status among the changes makes it another."""
        counts = {} if cases is None else cases["group"].value_counts().to_dict()
        record = RunRecord(
            run.fingerprint, run.arm, run.seed, "finished", config=run.config, dataset=DATASET, split=SPLIT,
            counts={"patients": 3, **{group: int(counts.get(group, 0)) for group in ("lesion", "empty", "small")}},
            validation={"val_dice": val_dice, "epoch": 3, "epochs": 4}, cost=COST, metrics_version=METRICS_VERSION,
        )  # fmt: skip
        record = replace(record, **changes)
        self.tracker.keep(record, cases)
        return record

    @property
    def suite(self) -> SuitePlan:
        """The plan of all runs."""
        return SuitePlan("s", "A suite", "", "dice", DATASET, tuple(self.runs))


def case_table(dice: list[float], patients: list[str] | None = None, **columns: Any) -> pd.DataFrame:
    """Return per-case results of cases with a lesion, all metrics equal to the Dice."""
    names = [f"case-{number}" for number in range(len(dice))]
    patients = patients or [f"patient-{number}" for number in range(len(dice))]
    table = pd.DataFrame(
        {"case": names, "patient": patients, "volume": patients, "z": 0, "label": "", "group": "lesion",
         "reference_px": 50, "predicted_px": 40, "reference_mm2": 25.0,
         **{metric.name: dice for metric in slice_metrics()}}
    )  # fmt: skip
    return table.assign(**columns)


@pytest.fixture
def study(tracker: Any) -> Study:
    return Study(tracker)


@pytest.fixture
def cases() -> Any:
    return case_table


@pytest.fixture
def large_study(study: Study) -> Study:
    """Three arms with three seeds, 40 patients with three slices: two alike, one worse by 0.2."""
    rng = np.random.default_rng(0)
    hard = rng.beta(6, 2, 40)
    patients = np.repeat([f"patient-{number:02d}" for number in range(40)], 3).tolist()
    for transfer, worse in (("scratch", 0.2), ("imagenet-frozen", 0.0), ("imagenet-finetune", 0.0)):
        for seed in range(3):
            dice = np.clip(np.repeat(hard, 3) + rng.normal(0, 0.05, 120) - worse, 0, 1)
            study.finish(study.plan(transfer, seed), case_table(dice.tolist(), patients), 0.8 - worse + seed / 100)
    return study
