"""The tracker on MLflow; the only file that imports it."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from filelock import FileLock
from mlflow.artifacts import download_artifacts
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError, UsageError, storage_error
from lungzoo.tracking.process import alive, user_name
from lungzoo.tracking.record import RunRecord, SuitePlan
from lungzoo.tracking.shown import filter_tags, final_metrics, flatten, plan_digest
from lungzoo.weights.manifest import WeightsManifest, read_manifest
from mlflow import MlflowClient

_FINGERPRINT, _STATUS, _KIND, _PLAN = "lungzoo.fingerprint", "lungzoo.status", "lungzoo.kind", "lungzoo.plan"
_HOST, _PID = "lungzoo.host", "lungzoo.pid"
_ENDED = {"finished": "FINISHED", "failed": "FAILED", "skipped": "KILLED", "interrupted": "KILLED"}
_CHUNK = 500
# Says that these are training runs; MLflow would guess at language-model traces.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def default_uri(folder: Path | None = None) -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite store `mlflow.db` in a folder (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder or Path.cwd()).resolve()}/mlflow.db"


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
        with _talking(self.uri):
            self._client = _open_store(self.uri)
            self._experiment_id = self._find_or_create_experiment()
            self._sweep_killed_runs()
        self._known: dict[str, Run] = {}
        self.unreadable: set[str] = set()
        """Names of recorded runs whose artifacts cannot be read any more."""

    def open_suite(self, plan: SuitePlan, fresh: bool) -> str:
        """Start the parent run of a suite run, or go on with the one of the same plan."""
        with _talking(self.uri):
            digest = plan_digest(plan)
            found = [] if fresh else self._search(f"tags.`{_PLAN}` = '{digest}'")
            if found:
                suite_id = str(found[0].info.run_id)
                self._client.update_run(suite_id, status="RUNNING")
            else:
                tags = {_KIND: "suite", _PLAN: digest, "phase": "benchmark", "dataset": plan.dataset["name"]}
                suite_id = self._create_run(plan.title, tags)
                self._client.log_text(suite_id, plan.to_json(), "suite.json")
                self._log_dataset(suite_id, plan.dataset)
            self._client.set_tag(suite_id, _PID, str(os.getpid()))
            return suite_id

    def close_suite(self, suite_id: str, status: str, table_markdown: str) -> None:
        """End the parent run and put the table into its description."""
        with _talking(self.uri):
            if table_markdown:
                self._client.set_tag(suite_id, "mlflow.note.content", table_markdown)
                self._client.log_text(suite_id, table_markdown, "table.md")
            self._client.set_terminated(suite_id, _ENDED[status])

    def last_plan(self) -> SuitePlan | None:
        """Return the plan of the newest run of the suite."""
        with _talking(self.uri):
            found = self._search(f"tags.`{_KIND}` = 'suite'")
            return SuitePlan.from_json(self._artifact(found[0], "suite.json").read_text()) if found else None

    def start_run(self, started: RunRecord, suite_id: str | None, run_id: str | None) -> str:
        """Start a run, or reopen `run_id` where the store still has it."""
        with _talking(self.uri):
            if run_id and self._exists(run_id):
                self._client.update_run(run_id, status="RUNNING")
                self._client.log_batch(run_id, tags=[RunTag(_PID, str(os.getpid())), RunTag(_STATUS, "running")])
                return run_id
            tags = {_KIND: "run", _FINGERPRINT: started.fingerprint, _STATUS: "running", **filter_tags(started)}
            if suite_id:
                tags["mlflow.parentRunId"] = suite_id
            run_id = self._create_run(f"{started.title} · seed {started.seed}", tags)
            params = [Param(key, str(value)[:6000]) for key, value in flatten(started.config)]
            for start in range(0, len(params), 100):
                self._client.log_batch(run_id, params=params[start : start + 100])
            self._log_dataset(run_id, started.dataset)
            return run_id

    def log_epoch(self, run_id: str, epoch: int, metrics: dict[str, float]) -> None:
        """Add one epoch's metrics; steps count from 1."""
        with _talking(self.uri):
            self._client.log_batch(run_id, metrics=_metrics(metrics, epoch + 1))

    def finish_run(self, run_id: str, record: RunRecord, history: list[dict[str, float]], artifacts: Path) -> None:
        """End a run: final metrics, the epochs that are missing, and every file of `artifacts`."""
        with _talking(self.uri):
            there = {metric.step for metric in self._client.get_metric_history(run_id, "loss")}
            missing = [m for e, row in enumerate(history, 1) if e not in there for m in _metrics(row, e)]
            final = missing + _metrics(final_metrics(record), len(history))
            for start in range(0, len(final), _CHUNK):
                self._client.log_batch(run_id, metrics=final[start : start + _CHUNK])
            self._client.log_artifacts(run_id, str(artifacts))
            tags = [RunTag(_STATUS, record.status)]
            if record.reason:
                tags.append(RunTag("mlflow.note.content", f"**{record.status}**: {record.reason}"))
            self._client.log_batch(run_id, tags=tags)
            self._client.set_terminated(run_id, _ENDED[record.status])

    def interrupt_run(self, run_id: str) -> None:
        """Mark a run that was stopped by hand; it can be reopened."""
        with _talking(self.uri):
            self._client.log_batch(run_id, tags=[RunTag(_STATUS, "interrupted")])
            self._client.set_terminated(run_id, "KILLED")

    def find(self, fingerprints: list[str]) -> dict[str, RunRecord]:
        """Return the newest record of each fingerprint that has one; a record whose file is gone is none."""
        with _talking(self.uri):
            chosen = self._known = self._newest(set(fingerprints))
        found: dict[str, RunRecord] = {}
        for fingerprint, run in chosen.items():
            try:
                found[fingerprint] = RunRecord.load(self._artifact(run, "record.json"))
            except (MlflowException, OSError, TrackingError):
                self.unreadable.add(run.info.run_name)
        return found

    def artifacts(self, fingerprints: list[str], name: str) -> dict[str, Path]:
        """See `Tracker.artifacts`."""
        if not set(fingerprints) <= set(self._known):
            with _talking(self.uri):
                self._known = self._newest(set(fingerprints))
        found: dict[str, Path] = {}
        for fingerprint in fingerprints:
            with suppress(KeyError, MlflowException, OSError):  # gone: the caller sees what is missing
                path = self._artifact(self._known[fingerprint], name)
                found |= {fingerprint: path} if path.exists() else {}
        return found

    def _newest(self, fingerprints: set[str]) -> dict[str, Run]:
        chosen: dict[str, Run] = {}
        for run in self._search(f"tags.`{_KIND}` = 'run'"):  # newest first
            fingerprint, status = run.data.tags.get(_FINGERPRINT), run.data.tags.get(_STATUS)
            if fingerprint not in fingerprints or status not in ("finished", "skipped", "failed"):
                continue
            chosen.setdefault(fingerprint, run)
        return chosen

    def _find_or_create_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        place = None
        if self.uri.startswith("sqlite:///"):
            place = (Path(self.uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
        if found is None:
            return str(self._client.create_experiment(self.experiment, artifact_location=place, tags=_EXPERIMENT_TAGS))
        if found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"The MLflow experiment '{self.experiment}' was deleted. Restore it with: "
                f"mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        _check_not_moved(found.artifact_location, place)
        return str(found.experiment_id)

    def _create_run(self, name: str, tags: dict[str, str]) -> str:
        about = {
            _HOST: platform.node(),
            _PID: str(os.getpid()),
            "mlflow.source.name": "lungzoo",
            "mlflow.user": user_name(),
        }
        run = self._client.create_run(self._experiment_id, run_name=name, tags={**about, **tags})
        return str(run.info.run_id)

    def _exists(self, run_id: str) -> bool:
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException:
            return False

    def _log_dataset(self, run_id: str, data: dict[str, Any]) -> None:
        profile = {key: data[key] for key in ("slices", "patients", "licence", "citation") if key in data}
        dataset = Dataset(
            name=data["name"],
            digest=data["fingerprint"][:32],
            source_type="local",
            source=json.dumps({"reader": data.get("reader", "")}),
            profile=json.dumps(profile),
        )
        inputs = [
            DatasetInput(dataset, [InputTag("mlflow.data.context", context)]) for context in ("training", "testing")
        ]
        self._client.log_inputs(run_id, inputs)

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

    def _artifact(self, run: Run, name: str) -> Path:
        if run.info.artifact_uri.startswith("file:"):  # many times faster than through MLflow
            return Path(url2pathname(urlparse(run.info.artifact_uri).path)) / name
        return Path(download_artifacts(run_id=run.info.run_id, artifact_path=name, tracking_uri=self.uri))

    def run_id(self, fingerprint: str) -> str:
        """Return the id of the newest recorded run of a fingerprint."""
        with _talking(self.uri):
            return str(self._newest({fingerprint})[fingerprint].info.run_id)

    def find_run(self, run: str) -> str:
        """Return the whole id of the one run, of any experiment, whose id is or begins with `run`."""
        with _talking(self.uri):
            experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
            condition = f"attributes.run_id LIKE '{run}%'"
            found = self._client.search_runs(experiments, condition, max_results=2) if run.isalnum() else []
        if len(found) == 1:
            return str(found[0].info.run_id)
        if found:
            raise UsageError(f"More than one run in {self.uri} begins with '{run}'. Give more of its id.")
        raise UsageError(f"No run '{run}' in {self.uri}. `lungzoo train` prints it, and lungzoo ui shows it.")

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        """See `Tracker.weights_manifest`."""
        with _talking(self.uri):
            if not self._client.list_artifacts(run_id, "weights"):
                raise UsageError(f"The run '{run_id}' has no weights: it is not finished, or is that of a whole suite.")
            path = download_artifacts(run_id=run_id, artifact_path="weights/manifest.json", tracking_uri=self.uri)
        return read_manifest(Path(path))

    def weights(self, run_id: str, folder: Path) -> Path:
        """See `Tracker.weights`."""
        with _talking(self.uri):
            return Path(
                download_artifacts(run_id=run_id, artifact_path="weights", dst_path=str(folder), tracking_uri=self.uri)
            )

    def _sweep_killed_runs(self) -> None:
        """A killed process leaves its run RUNNING for ever; end those of this machine whose process is gone."""
        for run in self._search("attributes.status = 'RUNNING'"):
            tags = run.data.tags
            if tags.get(_HOST) == platform.node() and not alive(int(tags.get(_PID, "0"))):
                self._client.set_terminated(run.info.run_id, "KILLED")


@contextmanager
def _talking(uri: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise TrackingError(
            f"The tracking store {uri} does not answer: {_reason(error)} Check MLFLOW_TRACKING_URI and the server."
        ) from error
    except OSError as error:
        raise storage_error(f"use the tracking store {uri}:", error) from error
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy"):
            raise
        raise TrackingError(
            f"The tracking store {uri} cannot be used: {_reason(error)} Check its disk and permissions."
        ) from error


def _reason(error: Exception) -> str:
    """Return the telling line of an MLflow error; those of its database begin with a remark on the session."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result")]
    return lines[0].strip()[:300] if lines else type(error).__name__


def initialise_store(uri: str) -> None:
    """Make a local store usable by several processes at once; does nothing to one that is in use already."""
    with _talking(uri):
        _open_store(uri)


def _open_store(uri: str) -> MlflowClient:
    """Open a store; a local SQLite one is initialised under a lock, because its first use migrates it."""
    if not uri.startswith("sqlite:///"):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
        return client
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def _check_not_moved(recorded: str, expected: str | None) -> None:
    """Refuse a store whose folder was moved: MLflow keeps absolute paths, and would write to the old place."""
    if expected is None or recorded == expected or not recorded.startswith("file:"):
        return
    if not Path(recorded.removeprefix("file://")).exists():
        raise TrackingError(
            f"The runs of this store were recorded in {recorded}, which is gone; MLflow keeps absolute paths. "
            "Move the folder back, or rename mlflow.db to record anew."
        )


def _metrics(values: dict[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for name, value in values.items() if math.isfinite(value)]
