"""What is known of a run once it is over."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lungzoo.errors import TrackingError

Status = Literal["finished", "skipped", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """One run of one arm with one seed.

    Args:
        fingerprint: identity of config, dataset and code.
        arm: "model / transfer" as tables show it.
        seed: the training seed.
        status: skipped runs could not start (weights that cannot be had), failed ones broke.
        reason: why it was skipped or failed, and what to do; "" for finished runs.
        config: the experiment as plain values.
        dataset: name, fingerprint, reader, licence, citation.
        split: fingerprint, split_seed, patients and slices per part.
        metrics: {metric: {mean, low, high, cases, patients}} on the test split.
        counts: patients, lesion, empty and small cases of the test split.
        validation: epoch, the best one (from 1); epochs trained; val_dice of the best one.
        pooled: {metric: value} of the pixels of all cases with a lesion together, as one large case.
        curves: figures of calibration, detection and labels; see `lungzoo.evaluation.curves`.
        metrics_version: of the definitions of the metrics; figures of different versions do not compare.
        cost: params, trainable_params, gmacs of one slice, weights_mb, train_seconds, seconds_per_epoch,
            peak_memory_mb, inference_ms of one slice; NaN where one could not be measured.
        environment: versions, machine, git commit, digest of the encoder's initial weights.
        trial: of a search: its name, number, repeat, …; see `lungzoo.training.trial.Trial`. {} for other runs.
        parts: names of the "encoder" and the "decoder" that were trained; {} in records of older versions.
        started: UTC time, ISO 8601.
    """

    fingerprint: str
    arm: str
    seed: int
    status: Status
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    pooled: dict[str, float] = field(default_factory=dict)
    curves: dict[str, float] = field(default_factory=dict)
    metrics_version: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    trial: dict[str, Any] = field(default_factory=dict)
    started: str = ""

    @property
    def fold(self) -> int | None:
        """Which fold was the test split; None without folds."""
        data = self.config.get("data", {})
        return int(data["fold"]) if data.get("folds") else None

    @property
    def title(self) -> str:
        """The arm, and the fold where there are folds; of a trial, its number."""
        if self.trial:
            return f"trial {self.trial['number']}"
        return self.arm if self.fold is None else f"{self.arm}, fold {self.fold}"

    def save(self, path: Path) -> None:
        """Write the record as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read a record; raises TrackingError if the file is missing or damaged."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise TrackingError(f"The run record {path} cannot be read: {error}") from error


@dataclass(frozen=True)
class PlannedRun:
    """One run that a suite asks for."""

    fingerprint: str
    arm: str
    seed: int
    config: dict[str, Any]


OTHER_SPLIT = "another split of this dataset"


@dataclass(frozen=True)
class TunedArm:
    """An arm of a suite whose settings a search has found.

    Args:
        arm: its name.
        baseline: name of the arm with the settings that the search set out from, "" where the suite has none.
        search: name of the search.
        trials, epochs, train_seconds: what it took.
        seeds_seen: seeds of the suite that its trials were trained with, too.
        judged_on: what split its trials were judged on, beside the suite's: "the same split", "another split of this
            dataset" or "another dataset".
    """

    arm: str
    baseline: str
    search: str
    trials: int
    epochs: int
    train_seconds: float
    seeds_seen: tuple[int, ...] = ()
    judged_on: str = "the same split"


@dataclass(frozen=True)
class SuitePlan:
    """A suite expanded against a dataset: what its table will show.

    Args:
        name, title, description: of the suite.
        primary_metric: the metric that the table leads with.
        dataset: name, fingerprint, reader, title, licence, citation, slices, patients.
        runs: every arm with every seed.
        tuned: those whose settings a search has found.
        warnings: leaks known when the suite was run last, in words; records know those of when their run began.
    """

    name: str
    title: str
    description: str
    primary_metric: str
    dataset: dict[str, Any]
    runs: tuple[PlannedRun, ...]
    tuned: tuple[TunedArm, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> SuitePlan:
        """Read back `to_json`."""
        values = json.loads(text)
        runs = tuple(PlannedRun(**run) for run in values["runs"])
        tuned = tuple(TunedArm(**{**arm, "seeds_seen": tuple(arm["seeds_seen"])}) for arm in values.get("tuned", ()))
        return cls(**{**values, "runs": runs, "tuned": tuned, "warnings": tuple(values.get("warnings", ()))})
