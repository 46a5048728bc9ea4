"""What a suite has recorded, case by case: the one thing that tables, figures and comparisons are made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.config import ExperimentConfig
from lungzoo.errors import TrackingError
from lungzoo.evaluation.score import counted, slice_metrics
from lungzoo.metrics.contract import METRICS, METRICS_VERSION
from lungzoo.models.transfer import RECIPES
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan
from lungzoo.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("case", "patient", "volume", "label", "group", "reference_px", "reference_mm2")
# Columns of numbers that only some runs have: agreement with readers, labels.
_EXTRA = ("agreement_", "label_")


class OutOfReach(TrackingError):
    """Per-case results that are there, and cannot be read for the moment."""


@dataclass(frozen=True)
class ArmResults:
    """One arm, whatever became of its runs.

    Args:
        arm: its name.
        runs: what was planned, every seed and fold.
        records: of the runs that are over.
        config: of its first run.
        values: float32 (seeds, cases, metrics) in the order of `SuiteResults.cases` and `.metrics`; NaN where a case
            says nothing, or its run is not finished. No rows without a finished run.
        extra: float32 (seeds, cases) by column: what per-case results hold beside the metrics, such as `reader_dice`.
    """

    arm: str
    runs: tuple[PlannedRun, ...]
    records: tuple[RunRecord, ...]
    config: ExperimentConfig
    values: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        """Human name of the transfer recipe."""
        return RECIPES.get(self.config.transfer.recipe).title

    @cached_property
    def finished(self) -> tuple[RunRecord, ...]:
        """Records with results."""
        return tuple(record for record in self.records if record.status == "finished")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds with a finished run."""
        return tuple(sorted({record.seed for record in self.finished}))

    @property
    def complete(self) -> bool:
        """Whether every planned run is finished."""
        return len(self.finished) == len(self.runs)

    @property
    def status(self) -> str:
        """ "finished", "skipped", "failed", "pending", "2 of 3 seeds" or, with folds, "7 of 10 runs"."""
        if self.complete:
            return "finished"
        if self.finished:
            return f"{len(self.finished)} of {len(self.runs)} {'seeds' if self.finished[0].fold is None else 'runs'}"
        return self.records[0].status if self.records else "pending"

    @property
    def reason(self) -> str:
        """Why some run was skipped or failed; "" where none was."""
        return next((record.reason for record in self.records if record.status != "finished"), "")

    @property
    def val_dice(self) -> float:
        """Best validation Dice, mean over finished runs; NaN without one."""
        return float(np.mean([r.validation["val_dice"] for r in self.finished])) if self.finished else float("nan")


@dataclass(frozen=True)
class SuiteResults:
    """A suite as far as it has come.

    Args:
        plan: what was asked for.
        arms: best validation Dice first, arms without results last.
        cases: one row per test case of any finished run: case, patient, volume, label, group, reference_px,
            reference_mm2, fold.
        metrics: names along the last axis of `ArmResults.values`.
    """

    plan: SuitePlan
    arms: tuple[ArmResults, ...]
    cases: pd.DataFrame
    metrics: tuple[str, ...]
    _kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def with_results(self) -> tuple[ArmResults, ...]:
        """Arms with a finished run."""
        return tuple(arm for arm in self.arms if arm.finished)

    @property
    def comparable(self) -> tuple[ArmResults, ...]:
        """Arms whose runs are all finished; only these are compared."""
        return tuple(arm for arm in self.arms if arm.complete)

    @property
    def patients(self) -> np.ndarray:
        """(cases,) patient of each case."""
        return self.cases["patient"].to_numpy(str)

    @property
    def folds(self) -> np.ndarray | None:
        """(cases,) fold that tests each case; None without folds."""
        return None if self.cases["fold"].isna().all() else self.cases["fold"].to_numpy(int)

    def values(self, arm: ArmResults, metric: str) -> np.ndarray:
        """Return (seeds, cases) of a metric, NaN for cases that its mean is not over."""
        over = METRICS.get(metric).over
        if over not in self._kept:
            self._kept[over] = counted(self.cases, METRICS.get(metric)).to_numpy()
        return np.where(self._kept[over], arm.values[:, :, self.metrics.index(metric)].astype(np.float64), np.nan)


def load_results(plan: SuitePlan, tracker: Tracker) -> SuiteResults:
    """Read the records and per-case results of a plan; works on a suite that is half done.

    A finished run whose per-case results are gone, damaged, or scored by another version of the metrics, counts as
    failed and says so; `usable_runs` does not name it. A metric that came after a run says nothing of its cases.
    """
    records = tracker.find([run.fingerprint for run in plan.runs])
    tables, faults = _read_finished(records, tracker, plan.primary_metric)
    metrics = _metrics()
    first_of_fold: dict[int | None, _Scored] = {}
    for key, table in tables.items():
        try:
            _check_same_cases(records[key], table, first_of_fold.setdefault(records[key].fold, table))
        except TrackingError as error:
            faults[key] = error
    for key, fault in faults.items():
        tables.pop(key, None)
        records[key] = replace(records[key], status="failed", reason=str(fault))
    cases = _all_cases(tables, records)
    by_arm: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        by_arm.setdefault(run.arm, []).append(run)
    arms = [_arm(arm, runs, records, tables, cases, metrics) for arm, runs in by_arm.items()]
    arms.sort(key=lambda arm: -arm.val_dice if arm.finished else np.inf)
    return SuiteResults(plan, tuple(arms), cases, metrics)


def usable_runs(fingerprints: list[str], tracker: Tracker, primary_metric: str) -> tuple[set[str], int]:
    """Return which runs are finished with results that a report takes, and how many are finished without.

    Raises:
        OutOfReach: results cannot be read for the moment, so whether a report takes them is not known.
    """
    tables, faults = _read_finished(tracker.find(fingerprints), tracker, primary_metric)
    for fault in faults.values():
        if isinstance(fault, OutOfReach):
            raise fault
    return set(tables), len(faults)


def _metrics() -> tuple[str, ...]:
    return tuple(metric.name for metric in slice_metrics())


@dataclass(frozen=True)
class _Scored:
    """Per-case results of a run: who the cases are, by case; (cases, metrics); and what else there is, by column."""

    cases: pd.DataFrame
    values: np.ndarray
    extra: dict[str, np.ndarray]


def _read_finished(
    records: dict[str, RunRecord], tracker: Tracker, primary_metric: str
) -> tuple[dict[str, _Scored], dict[str, TrackingError]]:
    """Return the results of finished runs, and what is wrong with those of the others."""
    finished = [key for key, record in records.items() if record.status == "finished"]
    files = tracker.artifacts(finished, "per_case.csv")
    tables: dict[str, _Scored] = {}
    faults: dict[str, TrackingError] = {}
    with ThreadPoolExecutor(4) as pool:  # Arrow reads without the interpreter's lock
        waiting = {key: pool.submit(_read_cases, records[key], files.get(key), primary_metric) for key in finished}
        for key, reading in waiting.items():
            try:
                tables[key] = reading.result()
            except TrackingError as error:
                faults[key] = error
    return tables, faults


def _read_cases(record: RunRecord, path: Path | None, primary_metric: str) -> _Scored:
    again = "Run it again."
    if path is None:
        raise TrackingError(f"The per-case results of '{record.title}', seed {record.seed}, are gone. {again}")
    if record.metrics_version != METRICS_VERSION:
        raise TrackingError(
            f"'{record.title}', seed {record.seed}, was scored by version {record.metrics_version} of the metrics; "
            f"this is version {METRICS_VERSION}, and their figures do not compare. {again}"
        )
    try:
        found = _read_csv(path, primary_metric)
    except OSError as error:
        raise OutOfReach(f"The per-case results {path} cannot be read: {error} Try again.") from error
    except (ValueError, KeyError) as error:
        raise TrackingError(f"The per-case results {path} are damaged: {error} {again}") from error
    if fault := _fault(record, found):
        raise TrackingError(f"The per-case results {path} {fault}. {again}")
    return found


def _fault(record: RunRecord, found: _Scored) -> str:
    """Say what a report cannot take, "" where there is nothing."""
    scored = sum(record.counts.get(group, 0) for group in ("lesion", "empty", "small"))
    if len(found.cases) != scored:
        return f"hold {len(found.cases)} of {scored} cases"
    if infinite := int(np.isinf(found.values).sum()):
        return f"hold {infinite} infinite value(s)"
    return ""


def _read_csv(path: Path, primary_metric: str) -> _Scored:
    """Read with Arrow, which takes a fifth of the time that pandas does; a suite has hundreds of files."""
    from pyarrow import csv, float64, string

    names = dict.fromkeys(("case", "patient", "volume", "label", "group"), string())
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False),
        convert_options=csv.ConvertOptions(column_types=names),
    )

    if primary_metric not in table.column_names:
        raise ValueError(f"there is no '{primary_metric}', the metric that arms are compared by.")

    def column(name: str) -> np.ndarray:
        return table.column(name).cast(float64()).to_numpy().astype(np.float32)

    extra = [name for name in table.column_names if name.startswith(_EXTRA)]
    nothing = np.full(table.num_rows, np.nan, np.float32)
    return _Scored(
        table.select(IDENTITY).to_pandas().set_index("case", drop=False),
        np.stack([column(name) if name in table.column_names else nothing for name in _metrics()], axis=1),
        {name: column(name) for name in extra},
    )


def _check_same_cases(record: RunRecord, scored: _Scored, first: _Scored) -> None:
    if scored.cases.index.equals(first.cases.index):
        return
    others = scored.cases.index.symmetric_difference(first.cases.index)
    if len(others):
        raise TrackingError(
            f"'{record.title}', seed {record.seed}, was scored on other cases than the runs before it: {len(others)} "
            f"differ, such as {others[0]}. Run the suite again with --fresh."
        )


def _all_cases(tables: dict[str, _Scored], records: dict[str, RunRecord]) -> pd.DataFrame:
    """Each patient is tested in one fold, so a case of one fold is not one of another."""
    import pandas as pd

    folds: dict[int | None, pd.DataFrame] = {}
    for key, table in tables.items():
        folds.setdefault(records[key].fold, table.cases)
    parts = [table.assign(fold=np.nan if fold is None else fold) for fold, table in folds.items()]
    return pd.concat(parts) if parts else pd.DataFrame(columns=[*IDENTITY, "fold"])


def _arm(
    arm: str,
    runs: list[PlannedRun],
    records: dict[str, RunRecord],
    tables: dict[str, _Scored],
    cases: pd.DataFrame,
    metrics: tuple[str, ...],
) -> ArmResults:
    found = [records[run.fingerprint] for run in runs if run.fingerprint in records]
    finished = [record for record in found if record.status == "finished"]
    seeds = sorted({record.seed for record in finished})
    values = np.full((len(seeds), len(cases), len(metrics)), np.nan, np.float32)
    extra: dict[str, np.ndarray] = {}
    for record in finished:
        table = tables[record.fingerprint]
        same = table.cases.index.equals(cases.index)
        places = np.arange(len(cases)) if same else cases.index.get_indexer(table.cases.index)
        row = seeds.index(record.seed)
        values[row, places] = table.values
        for name, column in table.extra.items():
            extra.setdefault(name, np.full((len(seeds), len(cases)), np.nan, np.float32))[row, places] = column
    return ArmResults(arm, tuple(runs), tuple(found), ExperimentConfig.model_validate(runs[0].config), values, extra)
