"""What tests in more than one room need."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungzoo.cli.output import ONEDNN
from lungzoo.config import ExperimentConfig, PhantomConfig
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import TrackingError, UsageError
from lungzoo.schema import parse
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.manifest import WeightsManifest, read_manifest

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start those that may take longest first, so that no process is left alone with one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(autouse=True)
def _onednn_as_it_was() -> Iterator[None]:
    """Commands that a test calls in this process have it on; processes that later tests start would inherit that."""
    before = os.environ.get(ONEDNN)
    yield
    if before is None:
        os.environ.pop(ONEDNN, None)
    else:
        os.environ[ONEDNN] = before


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with sample datasets and encoder weights; the test is skipped where it is absent.

    `LUNGZOO_SHARED` names it; otherwise it is `shared` beside the checkout.
    """
    path = _shared()
    if not path.is_dir():
        pytest.skip(f"no shared test data at {path}; set LUNGZOO_SHARED to the folder that has it")
    return path


def _shared() -> Path:
    named = os.environ.get("LUNGZOO_SHARED")
    return Path(named) if named else ROOT.parent / "shared"


@pytest.fixture(scope="session")
def grey_slices() -> np.ndarray:
    """Three slices with a nodule, uint8 (3, H, W): of LIDC-IDRI where the shared data are, else synthetic."""
    archive = _shared() / "data" / "lidc_idri_slices.zip"
    if not archive.is_file():
        items = PhantomReader(PhantomConfig(patients=3, slices_per_patient=8, size_px=128)).patient(0)
        hu = np.stack([each.image for each in items if each.mask.any()][:3])
        return np.round(np.clip((hu + 1350) / 1500, 0, 1) * 255).astype(np.uint8)
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if "/images/" in name and name.endswith(".png")][:3]
        return np.stack([np.asarray(Image.open(files.open(name)).convert("L")) for name in names])


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Twelve patients, six slices of 64×64 pixels each."""
    dest = tmp_path_factory.mktemp("data") / "phantom"
    config = PhantomConfig(patients=12, slices_per_patient=6, size_px=64)
    import_dataset(PhantomReader(config), "phantom", dest)
    return PreparedDataset(dest)


# An experiment of a few seconds on `phantom`, as a person would write it.
TINY: dict[str, Any] = {
    "data": {"val_fraction": 0.2, "test_fraction": 0.3},
    "augment": {"shift_px": 4},
    "model": {
        "name": "cnn_scratch",
        "encoder_options": {"width": 4},
        "encoder_depth": 3,
        "decoder_channels": [8, 8, 8],
        "decoder_convs": 1,
    },
    "train": {"epochs": 3, "batch_size": 6, "learning_rate": 5e-3},
    "score": {"bootstrap_draws": 200},
}


@pytest.fixture
def tiny() -> ExperimentConfig:
    """An experiment of a few seconds on `phantom`."""
    return parse(ExperimentConfig, TINY, "test")


class ListTracker:
    """A tracker that keeps records in a dict and files in a folder, and stops answering when told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, RunRecord] = {}
        self.epochs: list[int] = []
        self.names: set[str] = set()
        self.interrupted: list[str] = []
        self.reopened: list[str] = []
        self.down = False
        self.kept_weights = Path("no run finished")

    def _answer(self) -> None:
        if self.down:
            raise TrackingError("The tracking store does not answer.")

    def start_run(self, started: RunRecord, suite_id: str | None, run_id: str | None) -> str:
        self._answer()
        if run_id:
            self.reopened.append(run_id)
        return run_id or f"run-{started.fingerprint[:6]}"

    def log_epoch(self, run_id: str, epoch: int, metrics: dict[str, float]) -> None:
        self._answer()
        self.epochs.append(epoch)

    def finish_run(self, run_id: str, record: RunRecord, history: list[dict[str, float]], artifacts: Path) -> None:
        self._answer()
        self.records[record.fingerprint] = record
        self.names = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
        kept = self.folder / record.fingerprint
        shutil.copytree(artifacts, kept, dirs_exist_ok=True)
        if (kept / "weights").exists() and not self.kept_weights.exists():
            self.kept_weights = kept / "weights"

    def interrupt_run(self, run_id: str) -> None:
        self.interrupted.append(run_id)

    def find(self, fingerprints: list[str]) -> dict[str, RunRecord]:
        return {key: record for key, record in self.records.items() if key in fingerprints}

    def run_record(self, run_id: str) -> RunRecord:
        """The record of the run that `start_run` gave that id."""
        found = [record for key, record in self.records.items() if run_id == f"run-{key[:6]}"]
        if not found:
            raise UsageError(f"The run '{run_id}' has no record.json that can be read.")
        return found[0]

    def artifacts(self, fingerprints: list[str], name: str) -> dict[str, Path]:
        found = {fingerprint: self.folder / fingerprint / name for fingerprint in fingerprints}
        return {fingerprint: path for fingerprint, path in found.items() if path.exists()}

    def keep(self, record: RunRecord, cases: pd.DataFrame | None) -> None:
        """Take in a record made by hand, with its per-case results."""
        self.records[record.fingerprint] = record
        if cases is not None:
            (self.folder / record.fingerprint).mkdir(exist_ok=True)
            cases.to_csv(self.folder / record.fingerprint / "per_case.csv", index=False)

    def find_run(self, run: str) -> str:
        """What `finish_run` was given first is "run-first"."""
        if not "run-first".startswith(run) or not self.kept_weights.exists():
            raise UsageError(f"No run '{run}'.")
        return "run-first"

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        return read_manifest(self.kept_weights / "manifest.json")

    def weights(self, run_id: str, folder: Path) -> Path:
        return self.kept_weights

    def adopt(self, other: ListTracker) -> None:
        """Take in all that another tracker has."""
        shutil.copytree(other.folder, self.folder, dirs_exist_ok=True)
        self.records |= other.records
        self.kept_weights = self.folder / other.kept_weights.relative_to(other.folder)


@pytest.fixture
def tracker(tmp_path_factory: pytest.TempPathFactory) -> ListTracker:
    return ListTracker(tmp_path_factory.mktemp("tracker"))
