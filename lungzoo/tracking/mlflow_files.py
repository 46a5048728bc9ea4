"""Files of a run, fetched from MLflow: one that is gone is told from a store that does not answer."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError
from lungzoo.tracking.mlflow_connection import reason
from mlflow import MlflowClient


def fetch(client: MlflowClient, uri: str, run: Run, name: str) -> Path | None:
    """Return where a file or folder of a run lies; None where the run has none, or none any more.

    Raises:
        TrackingError: what keeps the files does not answer, which says nothing of the file.
    """
    try:
        if run.info.artifact_uri.startswith("file:"):  # many times faster than through MLflow
            path = Path(url2pathname(urlparse(run.info.artifact_uri).path)) / name
            return path if path.exists() else None
        return _download(client, uri, run.info.run_id, name)
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"{name} of '{run.info.run_name}' cannot be fetched from {run.info.artifact_uri}: "
            f"{reason(error).rstrip('.')}. Nothing is lost. Try again when the store of artifacts answers."
        ) from error


def _download(client: MlflowClient, uri: str, run_id: str, name: str) -> Path | None:
    try:
        return Path(download_artifacts(run_id=run_id, artifact_path=name, tracking_uri=uri))
    except (MlflowException, OSError):
        # MLflow's error does not tell why. The list does: what answers, and does not name the file, lacks it.
        if name not in {item.path for item in client.list_artifacts(run_id, posixpath.dirname(name) or None)}:
            return None
        raise
