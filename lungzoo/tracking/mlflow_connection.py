"""Reaching an MLflow store, and saying so when it does not answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from filelock import FileLock
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError, storage_error
from mlflow import MlflowClient


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
    """Return the telling line of an MLflow error; those of its database begin with a remark on the session."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result")]
    return lines[0].strip()[:300] if lines else type(error).__name__


def open_store(uri: str) -> MlflowClient:
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


def end_run(client: MlflowClient, run_id: str, status: str) -> None:
    """End a run, without the address that MLflow prints for each."""
    with redirect_stdout(io.StringIO()):
        client.set_terminated(run_id, status)


def check_not_moved(recorded: str, expected: str | None) -> None:
    """Refuse a store whose folder was moved: MLflow keeps absolute paths, and would write to the old place."""
    if expected is None or recorded == expected or not recorded.startswith("file:"):
        return
    if not Path(recorded.removeprefix("file://")).exists():
        raise TrackingError(
            f"The runs of this store were recorded in {recorded}, which is gone; MLflow keeps absolute paths. "
            "Move the folder back, or rename mlflow.db to record anew."
        )
