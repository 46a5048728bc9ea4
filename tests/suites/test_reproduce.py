"""A recorded run once more: what it starts from, what is refused, what the result is called, and one for real."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import ExperimentConfig, PhantomConfig
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.splits.split import PARTS, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import TrackingError, UsageError
from lungzoo.events import ignore
from lungzoo.experiment import run_experiment
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.suites.reproduce import original as originals
from lungzoo.suites.reproduce.carry_out import EXPERIMENT, NotReproduced, checked_config, reproduce
from lungzoo.suites.reproduce.original import CannotReproduce, dataset_of, load_original, read_cases
from lungzoo.suites.reproduce.outcome import in_words, outcome_of, to_dict
from lungzoo.tracking.describe import describe_dataset, describe_split, weights_manifest
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.manifest import write_manifest

DICE = [0.2, 0.4, 0.6, 0.5]
PACKAGES = {"keras": "3.15.1", "numpy": "2.4.0"}


def scores(dice=DICE, **columns) -> pd.DataFrame:
    cases = [f"c{number}" for number in range(len(dice))]
    table = pd.DataFrame({"case": cases, "patient": cases, "volume": "v", "label": "", "group": "lesion", "dice": dice})
    return table.assign(**columns)


class Store:
    """A run made by hand, in a tracker that knows runs by fingerprint."""

    def __init__(self, tracker, record: RunRecord) -> None:
        self.tracker, self.folder = tracker, tracker.folder / record.fingerprint
        self.uri, self.experiment = "sqlite:///nowhere.db", EXPERIMENT
        self.put(record)

    def put(self, record: RunRecord) -> None:
        self.record = self.tracker.records[record.fingerprint] = record

    def find_run(self, run: str) -> str:
        if not self.record.fingerprint.startswith(run):
            raise UsageError(f"No run '{run}' in {self.uri}.")
        return self.record.fingerprint

    def run_record(self, run_id: str) -> RunRecord:
        return self.tracker.records[run_id]

    def of_run(self, run_id: str):
        return self.tracker

    run_id = staticmethod(lambda fingerprint: fingerprint)

    def __getattr__(self, name: str):
        return getattr(self.tracker, name)

    def load(self):
        return load_original(f"run:{self.record.fingerprint[:8]}", self)


@pytest.fixture
def keep(tracker, phantom, tmp_path):
    """Keep the artifacts of a run that was never carried out."""

    def keep(config: ExperimentConfig) -> Store:
        split = split_dataset(phantom, config.data)
        interval = {"mean": 0.425, "low": 0.3, "high": 0.5, "cases": 4, "patients": 4}
        record = RunRecord(
            config.fingerprint(phantom.fingerprint), config.arm, 0, "finished", config=config.model_dump(mode="json"),
            dataset=describe_dataset(phantom), split=describe_split(split, {part: np.empty(0) for part in PARTS}),
            metrics={"dice": interval}, counts={"lesion": 4}, metrics_version=METRICS_VERSION,
            environment={"machine": "Abacus", "packages": PACKAGES, "git_commit": "a" * 40},
        )  # fmt: skip
        store = Store(tracker, record)
        (store.folder / "weights").mkdir(parents=True)
        (store.folder / "config.json").write_text(json.dumps(record.config))
        split.save(store.folder / "split.json")
        scores().to_csv(store.folder / "per_case.csv", index=False)
        (file := tmp_path / "weights.npz").write_bytes(b"weights")
        manifest = weights_manifest(record, config.model, split, file, "e" * 64)
        write_manifest(manifest, store.folder / "weights" / "manifest.json")
        return store

    return keep


@pytest.fixture
def kept(keep, tiny) -> Store:
    return keep(tiny)


# What it is carried out from


def test_a_run_is_read_back_from_its_artifacts(kept, tiny, phantom):
    original = kept.load()
    assert original.config == tiny
    assert original.split == split_dataset(phantom, tiny.data)
    assert original.weights_sha256 == "e" * 64
    assert original.cases["dice"].tolist() == DICE
    assert original.title == "cnn_scratch width=4 / scratch, seed 0"


def test_an_unfinished_run_is_refused(kept):
    kept.put(replace(kept.record, status="failed", reason="out of memory."))
    with pytest.raises(CannotReproduce, match=r"was failed: out of memory\. Only finished runs can be reproduced\."):
        kept.load()


def test_missing_artifacts_are_named(kept):
    (kept.folder / "per_case.csv").unlink()
    with pytest.raises(CannotReproduce, match=r"cannot be reproduced: per_case\.csv is gone from its artifacts\."):
        kept.load()
    (kept.folder / "split.json").unlink()
    with pytest.raises(
        CannotReproduce, match=r"split\.json, per_case\.csv are gone.*Needed: config\.json, split\.json"
    ):
        kept.load()


def test_damaged_artifacts_are_named(kept):
    (kept.folder / "config.json").write_text("{")
    with pytest.raises(CannotReproduce, match=r"config\.json cannot be read"):
        kept.load()


def test_the_settings_of_a_later_lungzoo_are_refused(kept):
    (kept.folder / "config.json").write_text(json.dumps({**kept.record.config, "trian": {}}))
    with pytest.raises(UsageError, match=r"The settings of run '.*Unknown key 'trian'. Did you mean 'train'\?"):
        kept.load()


def test_a_split_of_another_run_is_refused(kept):
    kept.put(replace(kept.record, split={**kept.record.split, "fingerprint": "f" * 64}))
    with pytest.raises(CannotReproduce, match=r"is not the one that the run .* recorded.*recorded ffffffffffff"):
        kept.load()


# The dataset


def test_the_given_dataset_has_to_be_the_same(kept, phantom, tmp_path):
    original = kept.load()
    assert dataset_of(original, phantom.path).fingerprint == phantom.fingerprint
    import_dataset(PhantomReader(PhantomConfig(patients=3, slices_per_patient=2, size_px=64)), "p", tmp_path / "other")
    other = PreparedDataset(tmp_path / "other")
    with pytest.raises(CannotReproduce) as caught:
        dataset_of(original, other.path)
    assert f"with the fingerprint {phantom.fingerprint[:12]}. Received: " in str(caught.value)
    assert f"other with {other.fingerprint[:12]}. Give the folder" in str(caught.value)


def test_a_phantom_is_made_again(kept, phantom, tmp_path, monkeypatch):
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    same = PhantomConfig(patients=12, slices_per_patient=6, size_px=64)
    monkeypatch.setattr(originals, "_phantoms", lambda: [PhantomConfig(), same])
    made = dataset_of(kept.load(), None)
    assert made.fingerprint == phantom.fingerprint
    assert made.path != phantom.path
    monkeypatch.setattr(originals, "_phantoms", lambda: [])
    kept.put(replace(kept.record, dataset={**kept.record.dataset, "name": made.name}))
    assert dataset_of(kept.load(), None).path == made.path  # from the cache


def test_phantoms_of_the_shipped_suites_are_known():
    assert PhantomConfig(patients=48, slices_per_patient=8, size_px=128) in originals._phantoms()


@pytest.mark.parametrize("reader", ["phantom", "lidc-slices"])
def test_a_dataset_that_is_not_built_in_has_to_be_given(kept, reader, tmp_path, monkeypatch):
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    kept.put(replace(kept.record, dataset={**kept.record.dataset, "reader": reader}))
    with pytest.raises(CannotReproduce, match=r"which is not built in\. Give its folder with --data DIR"):
        dataset_of(kept.load(), None)


# The split and the start


def test_a_split_that_is_dealt_alike_leaves_the_settings_as_they_are(kept, phantom, tiny):
    assert checked_config(kept.load(), phantom, kept) == tiny


def test_a_split_that_is_dealt_otherwise_now_is_taken_from_its_file(kept, phantom):
    original = kept.load()
    moved = replace(original.split, train=original.split.val, val=original.split.train)
    moved.save(kept.folder / "split.json")
    kept.put(replace(kept.record, split={**kept.record.split, "fingerprint": moved.fingerprint}))
    config = checked_config(kept.load(), phantom, kept)
    assert split_dataset(phantom, config.data) == moved
    assert config.data.split_sha256 == moved.fingerprint


def test_a_split_file_that_is_gone_is_taken_from_the_artifacts(keep, tiny, phantom, tmp_path):
    split_dataset(phantom, tiny.data).save(tmp_path / "mine.json")
    data = tiny.data.model_copy(update={"split_file": str(tmp_path / "mine.json")})
    config = tiny.model_copy(update={"data": data})
    pinned = data.model_copy(update={"split_sha256": split_dataset(phantom, data).fingerprint})
    config = tiny.model_copy(update={"data": pinned})
    kept = keep(config)
    (tmp_path / "mine.json").unlink()
    again = checked_config(kept.load(), phantom, kept)
    assert again.fingerprint(phantom.fingerprint) == kept.record.fingerprint


@pytest.mark.parametrize("start", ["gone/weights.npz", "run:feedbeef"])
def test_a_start_that_is_gone_is_refused(keep, tiny, phantom, start):
    kept = keep(tiny.model_copy(update={"transfer": tiny.transfer.model_validate(f"{start}-finetune")}))
    with pytest.raises(
        CannotReproduce, match=rf"seed 0, which starts from '{start}', cannot be carried out again: No "
    ):
        checked_config(kept.load(), phantom, kept)


# What comes out


def again(kept, cases=None, sha256="e" * 64, mean=0.425, **changes):
    record = replace(kept.record, metrics={"dice": {"mean": mean, "low": 0.0, "high": 1.0}}, **changes)
    cases = scores() if cases is None else cases
    cases.to_csv(kept.folder / "again.csv", index=False)
    return outcome_of(kept.load(), "0123", record, read_cases(kept.folder / "again.csv"), sha256)


def test_bit_for_bit(kept):
    outcome = again(kept)
    assert (outcome.verdict, outcome.reproduced, outcome.changes) == ("same", True, ())
    assert in_words(outcome) == (
        "The same, bit for bit: the scores of all 4 cases and the weights.",
        "Machine, packages and code are those that were recorded.",
    )


def test_the_last_bit_counts(kept):
    outcome = again(kept, scores([np.nextafter(DICE[0], 1), *DICE[1:]]))
    assert (outcome.verdict, outcome.same_scores, outcome.same_weights) == ("within", False, True)
    assert "The weights agree bit for bit." in in_words(outcome)[1]
    assert in_words(outcome)[2].endswith("With train.deterministic, a CPU then gives the same bits.")


def test_within_the_interval_that_was_recorded(kept):
    outcome = again(kept, scores([0.3, 0.4, 0.6, 0.46]), "f" * 64, 0.44)
    assert (outcome.verdict, outcome.reproduced) == ("within", True)
    assert in_words(outcome)[:2] == (
        "Not bit for bit, but within what was recorded: Dice 0.440, recorded 0.425 [0.300, 0.500].",
        "Per case, Dice differs by +0.015 on average and by 0.1 at most.",
    )


def test_outside_of_it(kept):
    outcome = again(kept, scores([0.9] * 4), "f" * 64, 0.9)
    assert (outcome.verdict, outcome.reproduced) == ("outside", False)
    assert in_words(outcome)[0] == "Not the same: Dice 0.900 is outside what was recorded, 0.425 [0.300, 0.500]."


def test_without_an_interval_only_the_same_is_the_same(kept):
    gone = {"mean": 0.425, "low": float("nan"), "high": float("nan")}
    kept.put(replace(kept.record, metrics={"dice": gone}))
    assert again(kept).verdict == "same"
    outcome = again(kept, scores([0.3, *DICE[1:]]), mean=0.45)
    assert (outcome.verdict, outcome.reproduced) == ("undecided", False)
    assert json.loads(json.dumps(to_dict(outcome), allow_nan=False))["recorded"]["low"] is None


def test_other_cases_are_not_the_same(kept):
    outcome = again(kept, scores([*DICE, 0.5]))
    assert (outcome.verdict, outcome.reproduced, outcome.mean_difference) == ("other cases", False, 0.0)


def test_nan_agrees_with_nan(kept):
    scores(group=["lesion", "lesion", "lesion", "empty"], dice=[*DICE[:3], np.nan]).to_csv(
        kept.folder / "per_case.csv", index=False
    )
    found = scores(group=["lesion", "lesion", "lesion", "empty"], dice=[*DICE[:3], np.nan])
    assert again(kept, found).verdict == "same"


def test_what_a_later_version_scores_beside_does_not_matter(kept):
    assert again(kept, scores(novel=1.0)).verdict == "same"


def test_what_differs_around_it_is_listed(kept):
    environment = {
        "machine": "Abacus",
        "packages": {**PACKAGES, "keras": "3.16.0"},
        "git_commit": "b" * 40 + "+changes",
    }
    outcome = again(kept, environment=environment, fingerprint="9" * 64)
    assert in_words(outcome)[1:] == (
        "Differs from what was recorded:",
        "  packages.keras: 3.15.1 → 3.16.0",
        "  git_commit: aaaaaaaaaaaa… → bbbbbbbbbbbb…+changes",
        f"  run fingerprint: {kept.record.fingerprint[:12]}… → 999999999999…",
        "Another fingerprint: since then lungzoo computes other results, or has other settings.",
    )


# Carrying it out


def ends(kept, record: RunRecord | None, status: str):
    """An executor that leaves a record, and says how the run ended."""
    from lungzoo.events import RunEnded

    def run(job, observe):
        if record is not None:
            kept.tracker.records[record.fingerprint] = record
        observe(RunEnded(record.title if record else "", 0, status, "", None, 0.0))
        return ""

    return SimpleNamespace(run=run)


def test_a_run_that_is_skipped_now_says_why(kept, phantom):
    original = kept.load()
    skipped = replace(kept.record, status="skipped", reason="no weights. Go online.")
    with pytest.raises(
        NotReproduced, match=r"could not be carried out again, it was skipped: no weights\. Go online\."
    ):
        reproduce(original, phantom, tracker=kept, executor=ends(kept, skipped, "skipped"), observe=ignore)


def test_results_that_wait_are_not_thrown_away(kept, phantom):
    def run(job, observe):
        raise TrackingError("The store does not answer; the same command delivers them.")

    with pytest.raises(TrackingError, match=r"delivers them\. Add --runs .*lungzoo-reproduce-\w+ to it\."):
        reproduce(kept.load(), phantom, tracker=kept, executor=SimpleNamespace(run=run), observe=ignore)


def test_for_real(tiny, phantom, tmp_path, monkeypatch):
    """On the command line: the same machine and packages give the same bits, in a record of its own."""
    from typer.testing import CliRunner

    from lungzoo.cli.bench import app
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    smaller = {
        "train": {"epochs": 1},
        "model": {"encoder_depth": 2, "decoder_channels": (8, 8)},
        "augment": {"shift_px": 0},
    }
    changed = {key: getattr(tiny, key).model_copy(update=values) for key, values in smaller.items()}
    tiny = tiny.model_copy(update=changed)
    suite = MlflowTracker("some-suite", uri)
    run_experiment(tiny, phantom, tracker=suite, runs=tmp_path / "runs")
    fingerprint = tiny.fingerprint(phantom.fingerprint)
    run_id = suite.run_id(fingerprint)

    done = CliRunner().invoke(app, ["reproduce", run_id[:10], "--data", str(phantom.path)])
    again = MlflowTracker(EXPERIMENT, uri).run_id(fingerprint)
    cases = len(pd.read_csv(suite.artifacts([fingerprint], "per_case.csv")[fingerprint]))
    assert done.stdout == (
        f"The same, bit for bit: the scores of all {cases} cases and the weights.\n"
        "Machine, packages and code are those that were recorded.\n"
        f"Recorded as run {again} of the experiment 'reproduce' in {uri}.\n"
    )
    assert done.exit_code == 0
    assert "✓ cnn_scratch width=4 / scratch, seed 0: test Dice" in done.stderr
    assert suite.run_id(fingerprint) == run_id != again

    done = CliRunner().invoke(app, ["compare", f"run:{run_id[:10]}", again])
    assert "No difference in Dice is shown (p = 1;" in done.stdout
    assert done.exit_code == 0
