"""What a recorded run left that it can be carried out again from."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lungzoo.config import ExperimentConfig, PhantomConfig
from lungzoo.content import cache_dir, content_names
from lungzoo.data.splits.split import Split
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import DatasetError, UsageError
from lungzoo.schema import parse
from lungzoo.suites.builtin import phantom_dataset
from lungzoo.suites.grid import load_suite
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.tracker import Tracker
from lungzoo.weights.manifest import read_manifest

if TYPE_CHECKING:
    import pandas as pd

_CONFIG, _SPLIT, _CASES, _WEIGHTS = NEEDED = ("config.json", "split.json", "per_case.csv", "weights/manifest.json")
# The metric that a run is judged by; it belongs to no suite that could name another.
PRIMARY = "dice"


class CannotReproduce(UsageError):
    """A run of which too little is left to carry it out again, or to tell whether it came out the same."""


@dataclass(frozen=True)
class Original:
    """The run that is to be reproduced.

    Args:
        run_id: its id.
        record: what was recorded of it.
        config: the experiment.
        split: who was in which part.
        split_file: where that is saved.
        cases: its per-case results, by case.
        weights_sha256: of the weights it ended with.
    """

    run_id: str
    record: RunRecord
    config: ExperimentConfig
    split: Split
    split_file: Path
    cases: pd.DataFrame
    weights_sha256: str

    @property
    def title(self) -> str:
        """ "unet_resnet50 / scratch, seed 0"."""
        return f"{self.record.title}, seed {self.record.seed}"


def load_original(run: str, tracker: Tracker) -> Original:
    """Read what a finished run left.

    Args:
        run: its id, or the beginning of it, perhaps after "run:"; of whichever suite.
        tracker: the store.

    Raises:
        UsageError: there is no such run, or it has no record.
        CannotReproduce: it is not finished, or artifacts are gone or damaged.
    """
    wanted = run.removeprefix("run:")
    if not wanted or not set(wanted) <= set(string.hexdigits):
        raise UsageError(
            f"A run is named by its id, hexadecimal digits or the first of them. Received: '{run}'. "
            "Find the ids of runs with: lungzoo ui"
        )
    run_id = tracker.find_run(wanted)
    record = tracker.run_record(run_id)
    if record.status != "finished":
        raise CannotReproduce(
            f"The run '{run_id}' was {record.status}: {record.reason} Only finished runs can be reproduced."
        )
    found = tracker.of_run(run_id)
    paths = {name: artifact_of(found, record, name) for name in NEEDED}
    if missing := [name for name, path in paths.items() if path is None]:
        raise CannotReproduce(
            f"The run '{run_id}' ({record.title}, seed {record.seed}) cannot be reproduced: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} gone from its artifacts. Needed: {', '.join(NEEDED)}. Put them "
            "back, or reproduce another run."
        )
    files = {name: path for name, path in paths.items() if path is not None}
    return _read(run_id, record, files)


def artifact_of(tracker: Tracker, record: RunRecord, name: str) -> Path | None:
    """Return where an artifact of a record lies; None where it is gone."""
    return tracker.artifacts([record.fingerprint], name).get(record.fingerprint)


def read_cases(path: Path) -> pd.DataFrame:
    """Read per-case results as they are written, which is exact; only the primary metric becomes a number.

    Raises:
        CannotReproduce: they are damaged.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("case").sort_index()
        if "group" not in table:
            raise KeyError("group")
        table[PRIMARY] = [float(value or "nan") for value in table[PRIMARY]]
        return table
    except (OSError, ValueError, KeyError) as error:
        raise CannotReproduce(f"The per-case results {path} cannot be read: {error}") from error


def _read(run_id: str, record: RunRecord, files: dict[str, Path]) -> Original:
    try:
        values = json.loads(files[_CONFIG].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotReproduce(f"The settings {files[_CONFIG]} cannot be read: {error}") from error
    config = parse(ExperimentConfig, values, f"The settings of run '{run_id}'")
    split = Split.load(files[_SPLIT])
    if split.fingerprint != record.split["fingerprint"]:
        raise CannotReproduce(
            f"The split {files[_SPLIT]} is not the one that the run '{run_id}' recorded. Received: fingerprint "
            f"{split.fingerprint[:12]}, recorded {record.split['fingerprint'][:12]}. Put the right one back."
        )
    sha256 = read_manifest(files[_WEIGHTS]).sha256
    return Original(run_id, record, config, split, files[_SPLIT], read_cases(files[_CASES]), sha256)


def dataset_of(original: Original, data: Path | None) -> PreparedDataset:
    """Open the dataset that a run was trained on; without a folder, the built-in phantom, made again where it is gone.

    Raises:
        CannotReproduce: the dataset is another one, or which one it was cannot be told.
        DatasetError: the folder cannot be used.
    """
    wanted = original.record.dataset
    if data is None:
        found = _phantom(original.record)
        if found is None:
            raise CannotReproduce(
                f"The run '{original.run_id}' was trained on '{wanted['name']}', fingerprint "
                f"{wanted['fingerprint'][:12]}, which is not built in. Give its folder with --data DIR"
            )
        return found
    dataset = PreparedDataset(data)
    if dataset.fingerprint != wanted["fingerprint"]:
        raise CannotReproduce(
            f"The run '{original.run_id}' was trained on another dataset: '{wanted['name']}' with the fingerprint "
            f"{wanted['fingerprint'][:12]}. Received: {data} with {dataset.fingerprint[:12]}. Give the folder that has "
            "the first; if it was imported again, by the version of lungzoo that imported it then."
        )
    return dataset


def _phantom(record: RunRecord) -> PreparedDataset | None:
    """Return the phantom with the fingerprint of a record: the cached one, or one made again from a known config."""
    if record.dataset.get("reader") != "phantom":
        return None
    cached = cache_dir() / "datasets" / Path(str(record.dataset["name"])).name
    try:
        dataset = PreparedDataset(cached)
        if dataset.fingerprint == record.dataset["fingerprint"]:
            return dataset
    except DatasetError:
        pass  # not there, or damaged: it is made again below
    for config in _phantoms():
        size = (config.patients, config.patients * config.slices_per_patient)
        if size == (record.dataset["patients"], record.dataset["slices"]):
            dataset = phantom_dataset(config)
            if dataset.fingerprint == record.dataset["fingerprint"]:
                return dataset
    return None


def _phantoms() -> list[PhantomConfig]:
    """Phantoms that a name stands for: those of the shipped suites, and that of `lungzoo data phantom`."""
    suites = [load_suite(name).phantom for name in content_names("suites")]
    return [*filter(None, suites), PhantomConfig()]
