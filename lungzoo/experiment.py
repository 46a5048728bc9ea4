"""`run_experiment`: the only place that wires the rooms together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.checks import check_experiment, check_leakage, check_settings, stages_of, without_parts
from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.config import ExperimentConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.preprocess.grey import measure_statistics
from lungzoo.data.splits.split import PARTS, select_rows, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import (
    DivergedError,
    LungzooError,
    StorageError,
    TrackingError,
    WeightsUnavailable,
    storage_error,
)
from lungzoo.evaluation.score import count_groups, summarise
from lungzoo.events import Note, Observer, RunEnded, RunStarted, ignore
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.models.starts import build_started, effective_model
from lungzoo.models.zoo import MODELS
from lungzoo.tracking.describe import describe_dataset, describe_split, weights_manifest
from lungzoo.tracking.environment import describe_environment
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.tracker import Tracker
from lungzoo.tracking.workspace import Workspace, exclusive
from lungzoo.training.checkpoint import CheckpointFolder, Progress
from lungzoo.training.cost import training_cost, whole_cost
from lungzoo.training.trial import JUDGED, OUT_OF_TIME, Trial
from lungzoo.weights.manifest import WeightsManifest, write_manifest

WEIGHTS_FILE = "weights.npz"


def run_experiment(
    config: ExperimentConfig,
    dataset: PreparedDataset,
    *,
    tracker: Tracker,
    runs: Path,
    suite_id: str | None = None,
    observe: Observer = ignore,
    allow_leakage: bool = False,
    trial: Trial | None = None,
) -> RunRecord:
    """Train, evaluate and record one run; continue it where an earlier attempt was cut off.

    Args:
        config: the experiment.
        dataset: opened dataset.
        tracker: where the record goes.
        runs: folder of workspaces of runs in progress.
        suite_id: parent run, if the run belongs to a suite.
        observe: receives events.
        allow_leakage: run although training has seen the test split; the record says so.
        trial: the run belongs to a search: no test case is read, and its checkpoint stays for others to go on from.

    Returns:
        The record: finished, skipped (weights that cannot be had) or failed, with the reason.

    Raises:
        UsageError: the experiment cannot run on this dataset.
        BusyError: the run's workspace is in use.
        TrackingError: the run is over, but the store did not take it; its results wait in `runs` and are delivered
            by the next attempt.
    """
    config = check_experiment(config, dataset, tracker, allow_leakage, parts=JUDGED if trial else PARTS)
    fingerprint = config.fingerprint(dataset.fingerprint)
    workspace = Workspace(runs, trial.fingerprint(fingerprint) if trial else fingerprint)
    with exclusive(workspace.path):
        run = _Run(config, dataset, tracker, workspace, suite_id, observe, trial)
        if not run.has_results():
            run.carry_out()
        record = run.deliver()
    observe(ended_event(record))
    return record


def parts_of(config: ExperimentConfig) -> dict[str, str]:
    """Return what the network that trains is made of, by name; a linear probe has a decoder of its own."""
    spec = MODELS.get(effective_model(config.model, config.transfer).name)
    return {"encoder": spec.encoder, "decoder": spec.decoder}


def ended_event(record: RunRecord) -> RunEnded:
    """Return the event that tells how a run ended."""
    score = record.metrics.get("dice", {}).get("mean")
    seconds = record.cost.get("train_seconds", 0.0)
    return RunEnded(record.title, record.seed, record.status, record.reason, score, seconds)


def record_failure(
    config: ExperimentConfig,
    dataset: PreparedDataset,
    reason: str,
    *,
    tracker: Tracker,
    runs: Path,
    suite_id: str | None,
    trial: Trial | None = None,
) -> RunRecord:
    """Record a run whose process died: as failed, unless its results are there and only wait for delivery."""
    fingerprint = config.fingerprint(dataset.fingerprint)
    workspace = Workspace(runs, trial.fingerprint(fingerprint) if trial else fingerprint)
    with exclusive(workspace.path):
        run = _Run(config, dataset, tracker, workspace, suite_id, ignore, trial)
        if not run.has_results():
            run.pack(run.failed(reason))
        return run.deliver()


class _Run:
    """One attempt at one run."""

    def __init__(
        self,
        config: ExperimentConfig,
        dataset: PreparedDataset,
        tracker: Tracker,
        workspace: Workspace,
        suite_id: str | None,
        observe: Observer,
        trial: Trial | None = None,
    ) -> None:
        self.config, self.tracker, self.trial = config, tracker, trial
        self.workspace, self.suite_id, self.observe = workspace, suite_id, observe
        self.unpacked: RunRecord | None = None
        self.split = split_dataset(dataset, config.data)
        self.dataset = dataset = without_parts(dataset, self.split, JUDGED if trial else PARTS)
        self.rows = select_rows(dataset, self.split, config.data)
        _, start = check_settings(config, tracker)
        self.start = start
        fingerprint = config.fingerprint(dataset.fingerprint)
        if trial:
            self.rows["test"] = self.rows["test"][:0]
        self.record = RunRecord(
            fingerprint=trial.fingerprint(fingerprint) if trial else fingerprint,
            arm=config.arm,
            seed=config.train.train_seed,
            status="failed",
            config=config.model_dump(mode="json"),
            dataset=describe_dataset(dataset),
            split=describe_split(self.split, self.rows, check_leakage(start, self.split, dataset, allow=True) or ""),
            environment=describe_environment(),
            parts=parts_of(config),
            trial=trial.describe() if trial else {},
            started=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def has_results(self) -> bool:
        """See `Workspace.results`; those of a trial whose time was up do not count, for there may be more now."""
        record = self.workspace.results()
        return record is not None and record.reason != OUT_OF_TIME

    def carry_out(self) -> None:
        """Train and evaluate; whatever happens becomes a record in the outbox."""
        run_id = self._start_tracking()
        try:
            self._train_and_evaluate(run_id)
        except WeightsUnavailable as error:
            self.pack(dataclasses.replace(self.failed(str(error)), status="skipped"))
        except KeyboardInterrupt:
            self._interrupt(run_id)
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, LungzooError) else _explain(error)
            state = "diverged" if isinstance(error, DivergedError) else "failed"
            self.pack(self.failed(reason, state), trace=traceback.format_exc())

    def failed(self, reason: str, state: str = "failed") -> RunRecord:
        """Return the record of a run that broke."""
        trial = self.record.trial | {"state": state} if self.trial else {}
        return dataclasses.replace(self.record, status="failed", reason=reason, trial=trial)

    def pack(self, record: RunRecord, trace: str = "") -> None:
        """Put a record without results into the outbox; where the disk does not take it, keep it in memory."""
        try:
            with self.workspace.packing() as folder:
                _write_outcome(record, trace, folder)
        except StorageError:
            self.unpacked = record

    def deliver(self) -> RunRecord:
        """Hand the outbox to the tracker and clear the workspace."""
        if self.unpacked is not None:
            with tempfile.TemporaryDirectory() as folder:
                _write_outcome(self.unpacked, "", Path(folder))
                return self._hand_over(Path(folder))
        return self._hand_over(self.workspace.outbox)

    def _hand_over(self, outbox: Path) -> RunRecord:
        record = RunRecord.load(outbox / "record.json")
        history_file = outbox / "history.json"
        history = json.loads(history_file.read_text()) if history_file.exists() else []
        try:
            run_id = self.tracker.start_run(record, self.suite_id, self.workspace.run_id())
            if self.trial:
                self.workspace.remember(run_id)
            self.tracker.finish_run(run_id, record, history, outbox)
        except TrackingError as error:
            if record.status != "finished":
                raise TrackingError(
                    f"{error} The run of '{record.title}' was {record.status}: {record.reason}"
                ) from error
            raise TrackingError(
                f"{error} The results of '{record.title}' are safe in {outbox}; the same command delivers them."
            ) from error
        of_search = self.trial is not None
        self.workspace.delivered(keep_progress=record.status == "failed" or of_search, keep_id=of_search)
        return record

    def _start_tracking(self) -> str | None:
        try:
            run_id = self.tracker.start_run(self.record, self.suite_id, self.workspace.run_id())
        except TrackingError as error:
            self.observe(Note(f"{error} Training goes on; the results are kept in {self.workspace.path}."))
            return None
        self.workspace.remember(run_id)
        return run_id

    def _interrupt(self, run_id: str | None) -> None:
        if run_id:
            try:
                self.tracker.interrupt_run(run_id)
            except TrackingError as error:
                self.observe(Note(str(error)))

    def _train_and_evaluate(self, run_id: str | None) -> None:
        from lungzoo.training.loop import fit
        from lungzoo.training.seeding import prepared

        config = self.config
        view = View(config.model.in_slices, MODELS.get(config.model.name).dims == 3, config.labels)
        statistics = None
        if config.data.normalise == "zscore":
            statistics = measure_statistics(self.dataset, config.data, self.rows["train"])
        pipeline = Pipeline(self.dataset, config.data, config.train.batch_size, view, statistics)
        with prepared(config.train), tempfile.TemporaryDirectory() as scratch:
            model = build_started(config.model, config.transfer, lambda run: self.tracker.weights(run, Path(scratch)))
            start_digest = _digest(model.get_layer("encoder"))
            self._announce(model, pipeline)
            progress = fit(
                model,
                pipeline,
                self.rows,
                stages_of(config),
                config,
                self._checkpoints(),
                self.observe,
                lambda epoch, metrics: self._log_epoch(run_id, epoch, metrics),
                self.trial,
            )
            if self.trial:
                self._judge(model, progress)
            else:
                self._evaluate(model, pipeline, progress, start_digest)

    def _checkpoints(self) -> CheckpointFolder:
        origin = self.trial.origin(self.config.fingerprint(self.dataset.fingerprint)) if self.trial else None
        earlier = Workspace(self.workspace.path.parent, origin).checkpoints if origin else None
        return CheckpointFolder(self.workspace.checkpoints, earlier)

    def _announce(self, model: Any, pipeline: Pipeline) -> None:
        steps = pipeline.steps_per_epoch(self.rows["train"])
        record, epochs = self.record, self.config.train.epochs
        self.observe(RunStarted(record.title, record.seed, epochs, steps, model.count_params()))

    def _log_epoch(self, run_id: str | None, epoch: int, metrics: dict[str, float]) -> None:
        if run_id is None:
            return
        try:
            self.tracker.log_epoch(run_id, epoch, metrics)
        except TrackingError as error:
            self.observe(Note(f"{error} The epoch is kept and delivered at the end."))

    def _judge(self, model: Any, progress: Progress) -> None:
        """Record a trial of a search by its best validation Dice."""
        record = dataclasses.replace(
            self.record,
            status="finished",
            reason=progress.stopped,
            trial=self.record.trial | {"state": "pruned" if progress.stopped else "finished"},
            validation=_validation(progress),
            cost=training_cost(model, progress),
        )
        with self.workspace.packing() as folder:
            _write_plain(record, progress, folder)
            record.save(folder / "record.json")

    def _evaluate(self, model: Any, pipeline: Pipeline, progress: Progress, start_digest: str) -> None:
        from lungzoo.evaluation.evaluate import evaluate
        from lungzoo.evaluation.labels import label_figures
        from lungzoo.evaluation.overlay import save_overlays
        from lungzoo.training.second_stage import fit_second_stage, label_validation

        config, dataset = self.config, self.dataset
        second = fit_second_stage(model, pipeline, dataset, self.rows, config)
        validation = label_validation(model, pipeline, dataset, self.rows["val"], config, second)
        name_classes = second.name_classes if second else None
        found = evaluate(model, pipeline, dataset, self.rows["test"], config.data, config.score, name_classes)
        scores = found.cases
        record = dataclasses.replace(
            self.record,
            status="finished",
            metrics=summarise(scores, config.score),
            counts=count_groups(scores),
            pooled=found.curves.pooled.figures(),
            curves=found.curves.figures() | label_figures(scores),
            metrics_version=METRICS_VERSION,
            validation=_validation(progress) | validation,
            cost=whole_cost(model, progress, pipeline, self.rows["test"]) | (second.cost() if second else {}),
            environment={
                **self.record.environment,
                "encoder_start_sha256": start_digest,
                "intensity": dataclasses.asdict(pipeline.statistics) if pipeline.statistics else {},
            },
        )
        with self.workspace.packing() as folder:
            scores.to_csv(folder / "per_case.csv", index=False)
            if len(found.volumes):
                found.volumes.to_csv(folder / "per_volume.csv", index=False)
            (folder / "curves.json").write_text(json.dumps(found.curves.to_dict()))
            save_overlays(found.pictures, scores, f"{record.title}, seed {record.seed}", folder / "overlays.png")
            self.split.save(folder / "split.json")
            _write_plain(record, progress, folder)
            built = effective_model(config.model, config.transfer)
            manifest = partial(weights_manifest, record, built, self.split, start=self.start)
            _save_weights(model, second.stage if second else None, manifest, folder / "weights")
            size_mb = (folder / "weights" / WEIGHTS_FILE).stat().st_size / 1e6
            record = dataclasses.replace(record, cost={**record.cost, "weights_mb": round(size_mb, 3)})
            record.save(folder / "record.json")


def _write_plain(record: RunRecord, progress: Progress, folder: Path) -> None:
    (folder / "history.json").write_text(json.dumps(progress.history, indent=1))
    (folder / "environment.json").write_text(json.dumps(record.environment, indent=1))
    (folder / "config.json").write_text(json.dumps(record.config, indent=1))


def _validation(progress: Progress) -> dict[str, float]:
    return {"epoch": progress.best_epoch + 1, "epochs": progress.epoch, "val_dice": progress.best_val_dice}


def _save_weights(
    model: Any, second: SecondStage | None, describe: Callable[[Path, str], WeightsManifest], folder: Path
) -> None:
    """Write the weights and their manifest, as `lungzoo.load` and "run:ID" read them."""
    from lungzoo.weights.file import write_weights

    folder.mkdir()
    file = folder / WEIGHTS_FILE
    digest = write_weights(model, file, second_stage=second.arrays() if second else None)
    manifest = describe(file, digest)
    if second:
        manifest = manifest.model_copy(update={"second_stage": second.entry()})
    write_manifest(manifest, folder / "manifest.json")


def _write_outcome(record: RunRecord, trace: str, folder: Path) -> None:
    record.save(folder / "record.json")
    if trace:
        (folder / "traceback.txt").write_text(trace)


def _digest(encoder: Any) -> str:
    digest = hashlib.sha256()
    for value in encoder.get_weights():
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def _explain(error: Exception) -> str:
    name = type(error).__name__
    if name == "ResourceExhaustedError" or isinstance(error, MemoryError):
        return "out of memory. Lower train.batch_size or choose a smaller model."
    if isinstance(error, OSError):
        return str(storage_error("save the results", error))
    first_line = str(error).strip().partition("\n")[0][:300]
    return f"{name}: {first_line}. The traceback is among the run's artifacts."
