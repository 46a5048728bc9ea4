"""Reaching an MLflow store, and saying so when it does not answer."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from filelock import FileLock
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError, storage_error
from mlflow import MlflowClient

# Says that these are training runs; MLflow would guess at language-model traces.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def default_uri(folder: Path | None = None) -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite store `mlflow.db` in a folder (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder or Path.cwd()).resolve()}/mlflow.db"


def has_experiment(uri: str, experiment: str) -> bool:
    """Return whether a store has an experiment of that name; neither is made by asking."""
    if (database := _database(uri)) is not None and not database.exists():
        return False
    with talking(uri):
        return open_store(uri).get_experiment_by_name(experiment) is not None


def _database(uri: str) -> Path | None:
    """Return the file of a local SQLite store; None of any other."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


@contextmanager
def talking(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into TrackingError, and a full or forbidden disk into StorageError."""
    try:
        yield
    except MlflowException as error:
        raise TrackingError(
            f"The tracking store {uri} does not answer: {reason(error)} Check MLFLOW_TRACKING_URI and the server."
        ) from error
    except OSError as error:
        raise storage_error(f"use the tracking store {uri}:", error) from error
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy"):
            raise
        raise TrackingError(
            f"The tracking store {uri} cannot be used: {reason(error)} Check its disk and permissions."
        ) from error


def reason(error: Exception) -> str:
    """Return the telling line of an MLflow error; those of its database and of downloads begin with a remark."""
    remarks = ("(raised as a result", "The following failures occurred", "#####")
    lines = [line for line in str(error).strip().splitlines() if not line.startswith(remarks)]
    return lines[0].strip()[:300] if lines else type(error).__name__


def open_store(uri: str) -> MlflowClient:
    """Open a store; a local SQLite one is initialised under a lock, because its first use migrates it."""
    if (database := _database(uri)) is None:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
        return client
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def initialise_store(uri: str) -> None:
    """Make a local store usable by several processes at once; does nothing to one that is in use already."""
    with talking(uri):
        open_store(uri)


class Patience:
    """Keeps a store that is silent from holding up training.

    MLflow tries again for four minutes before it gives up. Here it tries once more and waits for seconds; after a
    failure there is no new attempt for ten times as long as that one took. What is not taken is logged in the end.
    """

    def __init__(self) -> None:
        self._again_at = 0.0

    @contextmanager
    def attempt(self, uri: str) -> Iterator[None]:
        """Talk to a store; raises TrackingError at once where it was silent a moment ago."""
        began = time.monotonic()
        if began < self._again_at:
            raise TrackingError(f"The tracking store {uri} did not answer a moment ago.")
        try:
            with talking(uri), _hasty():
                yield
        except TrackingError:
            now = time.monotonic()
            self._again_at = now + 10 * (now - began)
            raise


@contextmanager
def _hasty() -> Iterator[None]:
    """Have MLflow give up soon, unless its own variables say how long it should try."""
    limits = {MLFLOW_HTTP_REQUEST_MAX_RETRIES: 1, MLFLOW_HTTP_REQUEST_TIMEOUT: 10}
    changed = [variable for variable in limits if not variable.is_set()]
    for variable in changed:
        variable.set(limits[variable])
    try:
        yield
    finally:
        for variable in changed:
            variable.unset()


def end_run(client: MlflowClient, run_id: str, status: str) -> None:
    """End a run, without the address that MLflow prints for each."""
    with redirect_stdout(io.StringIO()):
        client.set_terminated(run_id, status)


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, which is made where there is none; raises TrackingError where it was deleted."""
    found = client.get_experiment_by_name(name)
    place = None
    if uri.startswith("sqlite:///"):
        place = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
    if found is None:
        return str(client.create_experiment(name, artifact_location=place, tags=_EXPERIMENT_TAGS))
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"The MLflow experiment '{name}' was deleted. Restore it with: "
            f"mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    check_not_moved(found.artifact_location, place)
    return str(found.experiment_id)


def check_not_moved(recorded: str, expected: str | None) -> None:
    """Refuse a store whose folder was moved: MLflow keeps absolute paths, and would write to the old place."""
    if expected is None or recorded == expected or not recorded.startswith("file:"):
        return
    if not Path(recorded.removeprefix("file://")).exists():
        raise TrackingError(
            f"The runs of this store were recorded in {recorded}, which is gone; MLflow keeps absolute paths. "
            "Move the folder back, or rename mlflow.db to record anew."
        )
