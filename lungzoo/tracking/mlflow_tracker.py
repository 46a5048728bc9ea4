"""The tracker on MLflow. Only the files `mlflow_*.py` of this room import it."""

from __future__ import annotations

import copy
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from lungzoo.errors import LungzooError, TrackingError, UsageError
from lungzoo.tracking.mlflow_connection import Patience, default_uri, end_run, open_experiment, open_store, talking
from lungzoo.tracking.mlflow_entities import dataset_inputs, metrics_at, params_of, tags_of
from lungzoo.tracking.mlflow_files import fetch
from lungzoo.tracking.mlflow_registry import ALIAS, register, register_version
from lungzoo.tracking.mlflow_search import describe_search
from lungzoo.tracking.mlflow_suite import offer_views, write_summary
from lungzoo.tracking.mlflow_system import MachineWatch
from lungzoo.tracking.pages import case_table, metric_table, run_description
from lungzoo.tracking.process import alive, user_name
from lungzoo.tracking.record import RunRecord, SuitePlan
from lungzoo.tracking.search import SearchPage
from lungzoo.tracking.shown import KIND, epoch_metrics, filter_tags, final_metrics, plan_digest
from lungzoo.tracking.summary import Champion, SuiteSummary
from lungzoo.weights.manifest import WeightsManifest, read_manifest

_FINGERPRINT, _STATUS, _PLAN = "lungzoo.fingerprint", "lungzoo.status", "lungzoo.plan"
_HOST, _PID, _OPENED = "lungzoo.host", "lungzoo.pid", "lungzoo.opened"
_ENDED = {"finished": "FINISHED", "failed": "FAILED", "skipped": "KILLED", "interrupted": "KILLED"}
_ENDED |= {"pruned": "KILLED", "diverged": "FAILED"}  # trials of a search
_CHUNK = 500


class MlflowTracker:
    """Runs of one suite, as one MLflow experiment.

    Args:
        experiment: name of the experiment: the suite's name, or "train" for single runs.
        uri: tracking URI; see `default_uri`.

    Raises:
        TrackingError: the store cannot be reached.
        StorageError: a local store cannot be written.
    """

    def __init__(self, experiment: str, uri: str | None = None) -> None:
        self.uri = uri or default_uri()
        self.experiment = experiment
        with talking(self.uri):
            self._client = open_store(self.uri)
            self._experiment_id = open_experiment(self._client, self.uri, experiment)
            self._sweep_killed_runs()
        self._known: dict[str, Run] = {}
        self._only: Run | None = None
        self._watch: MachineWatch | None = None
        self._patience = Patience()
        self.unreadable: set[str] = set()
        """Names of recorded runs whose artifacts are gone or damaged."""

    def open_suite(self, plan: SuitePlan, fresh: bool) -> str:
        """Start the parent run of a suite run, or go on with the one of the same runs; either way it has this plan."""
        about = {KIND: "suite", _PLAN: plan_digest(plan), "phase": "report"}
        with talking(self.uri):
            suite_id = self._open_parent(plan.title, about, plan.dataset, fresh)
            self._client.log_text(suite_id, plan.to_json(), "suite.json")
            offer_views(self._client, self._experiment_id)
            return suite_id

    def _open_parent(self, name: str, about: dict[str, str], dataset: dict[str, Any], fresh: bool) -> str:
        """Start a parent run, or go on with the one of the same kind and plan; it is the newest from now on."""
        condition = " and ".join(f"tags.`{key}` = '{about[key]}'" for key in (KIND, _PLAN))
        if not fresh and (found := self._parents(condition)):
            parent_id = str(found[0].info.run_id)
            self._client.update_run(parent_id, status="RUNNING", name=name)
        else:
            parent_id = str(self._create_run(name, {**about, "dataset": dataset["name"]}).info.run_id)
            self._client.log_inputs(parent_id, dataset_inputs(dataset))
        opened = {**_here(), _OPENED: str(time.time_ns())}
        self._client.log_batch(parent_id, tags=tags_of(opened))
        return parent_id

    def _parents(self, condition: str) -> list[Run]:
        """Return parent runs, the one that was opened last first; of older versions' only the start is known."""

        def opened(run: Run) -> int:
            return int(run.data.tags.get(_OPENED, run.info.start_time * 1_000_000))

        return sorted(self._search(condition), key=opened, reverse=True)

    def close_suite(self, suite_id: str, status: str, summary: SuiteSummary | None) -> str:
        """See `Tracker.close_suite`."""
        note = self._register(suite_id, summary.champion) if summary and summary.champion else ""
        with talking(self.uri):
            if summary:
                write_summary(self._client, self._experiment_id, suite_id, summary, note)
            end_run(self._client, suite_id, _ENDED[status])
        return note

    def _register(self, suite_id: str, champion: Champion) -> str:
        """Register the weights that a suite recommends; says what became of it, since a suite ends well without."""
        try:
            with talking(self.uri):
                runs = self._known if champion.fingerprint in self._known else self._newest({champion.fingerprint})
                run = runs[champion.fingerprint]
                if (weights := self._artifact(run, "weights")) is None:
                    raise TrackingError(f"The weights of '{run.info.run_name}' are gone.")
                place = (self._experiment_id, self.experiment, run.info.run_id, weights)
                version, new = register(self._client, *place, champion, suite_id)
        except LungzooError as error:
            return f"The chosen weights are not registered as a model: {error}"
        state = "registered as" if new else "already"
        return f"The chosen weights are {state} version {version} of the model: models:/{self.experiment}@{ALIAS}"

    def open_search(self, page: SearchPage, fresh: bool) -> str:
        """See `Tracker.open_search`."""
        about = {KIND: "search", _PLAN: page.digest, "phase": "enhancement"}
        with talking(self.uri):
            search_id = self._open_parent(page.title, about, page.dataset, fresh)
            describe_search(self._client, self._experiment_id, search_id, page)
            return search_id

    def close_search(self, search_id: str, status: str, page: SearchPage) -> None:
        """See `Tracker.close_search`."""
        with talking(self.uri):
            describe_search(self._client, self._experiment_id, search_id, page)
            end_run(self._client, search_id, _ENDED[status])

    def search_file(self, name: str) -> Path | None:
        """Return where a file of the newest search of this experiment lies, None where it has none."""
        with talking(self.uri):
            found = self._parents(f"tags.`{KIND}` = 'search'")  # newest first; an older one is another search
            return self._artifact(found[0], name) if found else None

    def last_plan(self) -> SuitePlan | None:
        """Return the plan of the run of the suite that was started or gone on with last."""
        with talking(self.uri):
            if not (found := self._parents(f"tags.`{KIND}` = 'suite'")):
                return None
            if (path := self._artifact(found[0], "suite.json")) is None:
                raise TrackingError(
                    f"The plan of the newest run of suite '{self.experiment}' in {self.uri} is gone. "
                    "Start that suite again: lungzoo bench run"
                )
            return SuitePlan.from_json(path.read_text())

    def start_run(self, started: RunRecord, suite_id: str | None, run_id: str | None) -> str:
        """Start a run, or reopen `run_id` where the experiment still has it.

        A workspace belongs to a fingerprint, so `run_id` may be that of another suite, which stopped half way.
        """
        with talking(self.uri):
            run = self._active(run_id) if run_id else None
            if run:
                self._client.update_run(run.info.run_id, status="RUNNING")
                self._client.log_batch(run.info.run_id, tags=tags_of({**_here(), _STATUS: "running"}))
            else:
                run = self._new_run(started, suite_id)
        if self._watch is None or self._watch.run_id != run.info.run_id:
            self._stop_watching()
            self._watch = MachineWatch(run.info.run_id, run.info.start_time)
        return str(run.info.run_id)

    def _new_run(self, started: RunRecord, suite_id: str | None) -> Run:
        tags = {
            KIND: "trial" if started.trial else "run",
            _FINGERPRINT: started.fingerprint,
            _STATUS: "running",
            **filter_tags(started),
        }
        if suite_id:
            tags["mlflow.parentRunId"] = suite_id
        run = self._create_run(f"{started.title} · seed {started.seed}", tags)
        params = params_of(started.config)
        for start in range(0, len(params), 100):
            self._client.log_batch(run.info.run_id, params=params[start : start + 100])
        self._client.log_inputs(run.info.run_id, dataset_inputs(started.dataset))
        return run

    def log_epoch(self, run_id: str, epoch: int, metrics: dict[str, float]) -> None:
        """Add one epoch's metrics, and what the machine did meanwhile; steps count from 1."""
        waiting = self._watch.waiting if self._watch else []
        count = len(waiting)
        with self._patience.attempt(self.uri):
            self._log(run_id, metrics_at(epoch_metrics(metrics), epoch + 1) + waiting[:count])
        del waiting[:count]  # not reached where the store is silent: the next epoch takes them along

    def finish_run(self, run_id: str, record: RunRecord, history: list[dict[str, float]], artifacts: Path) -> None:
        """End a run: final metrics, the epochs that are missing, and every file of `artifacts`."""
        samples = self._stop_watching()
        with talking(self.uri):
            there = {metric.step for metric in self._client.get_metric_history(run_id, "train/loss")}
            for epoch, row in enumerate(history, 1):
                samples += [] if epoch in there else metrics_at(epoch_metrics(row), epoch)
            self._log(run_id, samples + metrics_at(final_metrics(record), 0))
            self._client.log_artifacts(run_id, str(artifacts))
            tables = self._log_tables(run_id, record, artifacts)
            suite_id = self._client.get_run(run_id).data.tags.get("mlflow.parentRunId")
            tags = {
                **filter_tags(record),
                _STATUS: record.status,
                "mlflow.note.content": run_description(record, self._experiment_id, suite_id),
                "mlflow.loggedArtifacts": json.dumps([{"path": name, "type": "table"} for name in tables]),
            }
            self._client.log_batch(run_id, tags=tags_of(tags))
            end_run(self._client, run_id, _ENDED[record.trial.get("state", record.status)])

    def _log_tables(self, run_id: str, record: RunRecord, artifacts: Path) -> list[str]:
        """Log what MLflow shows as tables; returns their names."""
        tables = {"metrics.json": metric_table(record)} if record.metrics else {}
        if (per_case := artifacts / "per_case.csv").is_file():
            tables["per_case.json"] = case_table(per_case, list(record.metrics))
        for name, text in tables.items():
            self._client.log_text(run_id, text, name)
        return list(tables)

    def interrupt_run(self, run_id: str) -> None:
        """Mark a run that was stopped by hand; it can be reopened."""
        samples = self._stop_watching()
        with self._patience.attempt(self.uri):
            self._log(run_id, samples)
            self._client.log_batch(run_id, tags=[RunTag(_STATUS, "interrupted")])
            end_run(self._client, run_id, "KILLED")

    def _stop_watching(self) -> list[Metric]:
        """End the sampling of the machine; returns the samples that were not logged yet."""
        watch, self._watch = self._watch, None
        return watch.stop() if watch else []

    def _log(self, run_id: str, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), _CHUNK):
            self._client.log_batch(run_id, metrics=metrics[start : start + _CHUNK])

    def find(self, fingerprints: list[str]) -> dict[str, RunRecord]:
        """Return the newest record of each fingerprint that has one; a record whose file is gone is none.

        Raises:
            TrackingError: the store, or what keeps its artifacts, does not answer.
        """
        with talking(self.uri):
            chosen = self._known = self._newest(set(fingerprints))
        records = {fingerprint: self._record(run) for fingerprint, run in chosen.items()}
        self.unreadable |= {run.info.run_name for key, run in chosen.items() if records[key] is None}
        return {fingerprint: record for fingerprint, record in records.items() if record is not None}

    def _record(self, run: Run) -> RunRecord | None:
        """Return the record of a run that is over, None where it is gone or damaged."""
        if (path := self._artifact(run, "record.json")) is None:
            return None
        try:
            return RunRecord.load(path)
        except TrackingError as error:
            if isinstance(error.__cause__, OSError):  # the file is there, and cannot be read now
                raise
            return None

    def artifacts(self, fingerprints: list[str], name: str) -> dict[str, Path]:
        """See `Tracker.artifacts`."""
        if not set(fingerprints) <= set(self._known):
            with talking(self.uri):
                self._known = self._newest(set(fingerprints))
        runs = {fingerprint: self._known[fingerprint] for fingerprint in fingerprints if fingerprint in self._known}
        paths = {fingerprint: self._artifact(run, name) for fingerprint, run in runs.items()}
        return {fingerprint: path for fingerprint, path in paths.items() if path is not None}

    def _newest(self, fingerprints: set[str]) -> dict[str, Run]:
        chosen: dict[str, Run] = {}
        for run in [self._only] if self._only else self._search(f"tags.`{KIND}` = 'run'"):  # newest first
            fingerprint, status = run.data.tags.get(_FINGERPRINT), run.data.tags.get(_STATUS)
            if fingerprint not in fingerprints or status not in ("finished", "skipped", "failed"):
                continue
            chosen.setdefault(fingerprint, run)
        return chosen

    def _create_run(self, name: str, tags: dict[str, str]) -> Run:
        about = {
            **_here(),
            "mlflow.source.name": "lungzoo",
            "mlflow.user": user_name(),
        }
        return self._client.create_run(self._experiment_id, run_name=name, tags={**about, **tags})

    def _active(self, run_id: str) -> Run | None:
        """Return a run of this experiment, None where it is gone, deleted or another experiment's."""
        try:
            run = self._client.get_run(run_id)
        except MlflowException:
            return None
        own = run.info.lifecycle_stage == "active" and run.info.experiment_id == self._experiment_id
        return run if own else None

    def _search(self, condition: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id], condition, order_by=["attributes.start_time DESC"], page_token=token
            )
            runs.extend(page)
            token = page.token
            if not token:
                return runs

    def _artifact(self, run: Run, name: str) -> Path | None:
        return fetch(self._client, self.uri, run, name)

    def run_id(self, fingerprint: str) -> str:
        """Return the id of the newest recorded run of a fingerprint."""
        with talking(self.uri):
            return str(self._newest({fingerprint})[fingerprint].info.run_id)

    def find_run(self, run: str) -> str:
        """Return the whole id of the one run, of any experiment, whose id is or begins with `run`.

        Files name weights "run-" and the beginning of the run's fingerprint, which is found as well; of several runs
        with one fingerprint, such as that of `lungzoo train` and that of a suite, the newest that is finished then.
        """
        run = run.removeprefix("run-")
        with talking(self.uri):
            experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
            found: list[Run] = []
            for key in ("attributes.run_id", f"tags.`{_FINGERPRINT}`") if run.isalnum() else ():
                found = found or self._client.search_runs(experiments, f"{key} LIKE '{run}%'", max_results=50)
        by_id = any(each.info.run_id.startswith(run) for each in found)
        if len({each.info.run_id if by_id else each.data.tags[_FINGERPRINT] for each in found}) == 1:
            finished = (each for each in found if each.data.tags.get(_STATUS) == "finished")
            return str(next(finished, found[0]).info.run_id)
        if found:
            raise UsageError(f"More than one run in {self.uri} begins with '{run}'. Give more of its id.")
        raise UsageError(f"No run '{run}' in {self.uri}. `lungzoo train` prints its id, and lungzoo ui shows it.")

    def run_record(self, run_id: str) -> RunRecord:
        """See `Tracker.run_record`."""
        with talking(self.uri):
            run = self._client.get_run(run_id)
        if (kind := run.data.tags.get(KIND)) in ("suite", "arm"):
            raise UsageError(f"The run '{run_id}' is that of a whole {kind}. Name the {kind}, or one of its runs.")
        if (record := self._record(run)) is None:
            raise UsageError(
                f"The run '{run_id}' ({run.data.tags.get(_STATUS, 'not of lungzoo')}) has no record.json that can be "
                "read: it is not over, or its artifacts are gone. See it with: lungzoo ui"
            )
        return record

    def of_run(self, run_id: str) -> MlflowTracker:
        """See `Tracker.of_run`."""
        one = copy.copy(self)
        with talking(self.uri):
            one._only, one._known = self._client.get_run(run_id), {}
        return one

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        """See `Tracker.weights_manifest`."""
        with talking(self.uri):
            if not self._client.list_artifacts(run_id, "weights"):
                raise UsageError(f"The run '{run_id}' has no weights: it is not finished, or is that of a whole suite.")
            path = download_artifacts(run_id=run_id, artifact_path="weights/manifest.json", tracking_uri=self.uri)
        return read_manifest(Path(path))

    def weights(self, run_id: str, folder: Path) -> Path:
        """See `Tracker.weights`."""
        with talking(self.uri):
            return Path(
                download_artifacts(run_id=run_id, artifact_path="weights", dst_path=str(folder), tracking_uri=self.uri)
            )

    def register_run(self, run_id: str, name: str, weights: Path, champion: Champion) -> tuple[str, bool]:
        """See `Tracker.register_run`."""
        with talking(self.uri):
            experiment_id = str(self._client.get_run(run_id).info.experiment_id)
            number, _, new = register_version(self._client, experiment_id, name, run_id, weights, champion)
        return number, new

    def _sweep_killed_runs(self) -> None:
        """A killed process leaves its run RUNNING for ever; end those of this machine whose process is gone."""
        for run in self._search("attributes.status = 'RUNNING'"):
            tags = run.data.tags
            if tags.get(_HOST) == platform.node() and not alive(int(tags.get(_PID, "0"))):
                end_run(self._client, run.info.run_id, "KILLED")


def _here() -> dict[str, str]:
    """Return the tags that say which process a run is in."""
    return {_HOST: platform.node(), _PID: str(os.getpid())}
