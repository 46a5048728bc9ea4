"""An empty store, made once: creating its tables takes longer than most tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lungzoo.tracking.mlflow_connection import initialise_store
from lungzoo.tracking.mlflow_tracker import MlflowTracker


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    initialise_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    """A store of the test's own."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def tracker(uri: str) -> MlflowTracker:
    return MlflowTracker("s", uri)
