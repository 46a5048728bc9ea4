"""Carries a recorded run out again: through the same executor and the same `run_experiment` as every run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lungzoo.checks import check_experiment
from lungzoo.config import DataConfig, ExperimentConfig
from lungzoo.data.splits.split import OWN_SPLIT, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, LungzooError, TrackingError, UsageError
from lungzoo.events import Observer
from lungzoo.executors import Executor
from lungzoo.suites.execute import run_one
from lungzoo.suites.reproduce.original import CannotReproduce, Original, artifact_of, read_cases
from lungzoo.suites.reproduce.outcome import Outcome, outcome_of
from lungzoo.weights.manifest import read_manifest

if TYPE_CHECKING:
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

# Its runs are no suite's, so nothing takes them for the originals.
EXPERIMENT = "reproduce"


class NotReproduced(LungzooError):
    """The run was started again and did not finish."""


def reproduce(
    original: Original,
    dataset: PreparedDataset,
    *,
    tracker: MlflowTracker,
    executor: Executor,
    observe: Observer,
    runs: Path | None = None,
) -> Outcome:
    """Carry a run out again and compare what comes out with what was recorded.

    Args:
        original: the run.
        dataset: the one it was trained on; see `dataset_of`.
        tracker: store for the new record, of the experiment `EXPERIMENT`.
        executor: carries out the run.
        observe: receives events.
        runs: folder that keeps progress, for another attempt to go on from; a temporary one where None.

    Raises:
        CannotReproduce: what the run started from is gone, or its settings cannot run any more.
        NotReproduced: the run was skipped or failed.
    """
    config = checked_config(original, dataset, tracker)
    with _workspaces(runs) as folder:
        status = run_one(
            config,
            dataset,
            tracker=tracker,
            runs=folder,
            executor=executor,
            observe=observe,
            allow_leakage=bool(original.record.split.get("leakage")),
        )
    fingerprint = config.fingerprint(dataset.fingerprint)
    record = tracker.find([fingerprint]).get(fingerprint)
    if record is None or status != "finished":
        reason = record.reason if record else "its record is gone."
        raise NotReproduced(f"{original.title} could not be carried out again, it was {status}: {reason}")
    cases, weights = (artifact_of(tracker, record, name) for name in ("per_case.csv", "weights/manifest.json"))
    if cases is None or weights is None:
        raise NotReproduced(f"The results of {original.title}, carried out again, are gone from {tracker.uri}.")
    run_id = tracker.run_id(fingerprint)
    return outcome_of(original, run_id, record, read_cases(cases), read_manifest(weights).sha256)


def checked_config(original: Original, dataset: PreparedDataset, tracker: MlflowTracker) -> ExperimentConfig:
    """Return the experiment with the recorded split, checked like every other before it runs.

    Raises:
        CannotReproduce: the weights that it starts from are gone or have changed, or it cannot run any more.
    """
    config, transfer = original.config, original.config.transfer
    config = config.model_copy(update={"data": _with_split(original, dataset)})
    try:
        return check_experiment(config, dataset, tracker, bool(original.record.split.get("leakage")))
    except UsageError as error:
        start = f", which starts from '{transfer.weights}'," if transfer.weights else ""
        raise CannotReproduce(f"{original.title}{start} cannot be carried out again: {error}") from error


def _with_split(original: Original, dataset: PreparedDataset) -> DataConfig:
    """Return the settings of the data; where they do not deal the recorded split, they name its file instead."""
    data = original.config.data
    if not data.split_file:
        try:
            if split_dataset(dataset, data).fingerprint == original.split.fingerprint:
                return data
        except ConfigError:
            pass  # near-duplicates are searched for in another way now; who was where is on file
    dealt = {key: DataConfig.model_fields[key].default for key in OWN_SPLIT}
    saved = {"split_file": str(original.split_file.resolve()), "split_sha256": original.split.fingerprint}
    return data.model_copy(update={**dealt, **saved})


@contextmanager
def _workspaces(runs: Path | None) -> Iterator[Path]:
    """Yield a folder of its own, so that no other run's checkpoints or waiting results are taken for this one's."""
    if runs is not None:
        yield runs / EXPERIMENT
        return
    folder = Path(tempfile.mkdtemp(prefix="lungzoo-reproduce-"))
    try:
        yield folder / EXPERIMENT
    except TrackingError as error:  # results wait in the folder, so it stays
        raise TrackingError(f"{error} Add --runs {folder} to it.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
