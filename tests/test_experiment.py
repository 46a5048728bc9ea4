"""`run_experiment` from end to end, on a phantom and a tracker that keeps lists."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from lungzoo.checks import check_experiment
from lungzoo.config import ExperimentConfig, LossTerm
from lungzoo.data.splits.split import select_rows, split_dataset
from lungzoo.errors import (
    BusyError,
    ConfigError,
    StorageError,
    TrackingError,
    UnknownNameError,
    UsageError,
    WeightsMismatch,
    WeightsUnavailable,
)
from lungzoo.events import Note, RunEnded, RunStarted
from lungzoo.experiment import record_failure, run_experiment
from lungzoo.schema import parse
from lungzoo.tracking.workspace import Workspace, exclusive
from lungzoo.weights import hub
from lungzoo.weights.manifest import Inherited, read_manifest

from .conftest import TINY, ListTracker


def changed(config: ExperimentConfig, section: str, **settings) -> ExperimentConfig:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=settings)})


@pytest.fixture
def run(tiny, phantom, tracker, tmp_path):
    def go(config=tiny, observe=lambda event: None):
        return run_experiment(config, phantom, tracker=tracker, runs=tmp_path / "runs", observe=observe)

    return go


def test_a_finished_run(run, tiny, phantom, tracker, tmp_path):
    events = []
    record = run(observe=events.append)
    assert record.status == "finished"
    assert record.fingerprint == tiny.fingerprint(phantom.fingerprint)
    dice = record.metrics["dice"]
    assert 0 <= dice["low"] <= dice["mean"] <= dice["high"] <= 1
    assert dice["cases"] == record.counts["lesion"] > 0
    assert record.counts["empty"] == record.metrics["false_positive_rate"]["cases"] > 0
    assert record.validation["epochs"] == 3
    assert record.cost["params"] > record.cost["trainable_params"] > 0
    assert record.environment["encoder_start_sha256"]
    assert tracker.epochs == [0, 1, 2]
    assert {
        "per_case.csv",
        "split.json",
        "record.json",
        "overlays.png",
        "weights/weights.npz",
    } <= tracker.names
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    assert not Workspace(tmp_path / "runs", record.fingerprint).path.exists()
    json.dumps(record.metrics)


def test_same_fingerprint_same_run(run):
    assert run().metrics == run().metrics


def test_weights_that_cannot_be_had_skip_the_run(run, tracker, monkeypatch):
    def unavailable(*args, **kwargs):
        raise WeightsUnavailable("the imagenet weights could not be fetched. Go online.")

    monkeypatch.setattr("lungzoo.experiment.build_started", unavailable)
    record = run()
    assert record.status == "skipped"
    assert "Go online" in record.reason
    assert not record.metrics
    assert tracker.records[record.fingerprint].status == "skipped"


def test_a_bug_becomes_a_failed_record_with_its_traceback(run, tracker, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lungzoo.evaluation.evaluate.score_cases", broken)
    record = run()
    assert record.status == "failed"
    assert record.reason.startswith("ZeroDivisionError: a bug")
    assert "traceback.txt" in tracker.names


def test_results_that_the_store_did_not_take_are_delivered_later(run, tracker, monkeypatch):
    events = []
    tracker.down = True
    with pytest.raises(TrackingError, match=r"are safe in .*outbox; the same command delivers them"):
        run(observe=events.append)
    assert any(isinstance(event, Note) and "Training goes on" in event.text for event in events)
    tracker.down = False
    monkeypatch.setattr("lungzoo.experiment.build_started", None)  # nothing is trained again
    assert run().status == "finished"


def test_an_interrupted_run_is_marked_and_reopened(run, tracker, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("lungzoo.evaluation.evaluate.predict", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()
    assert len(tracker.interrupted) == 1
    assert run().status == "finished"
    assert tracker.interrupted[0] in tracker.reopened


def test_two_processes_cannot_share_a_run(run, tiny, phantom, tmp_path):
    workspace = Workspace(tmp_path / "runs", tiny.fingerprint(phantom.fingerprint))
    with exclusive(workspace.path), pytest.raises(BusyError, match="Another lungzoo run is using"):
        run()


def test_a_process_that_died_leaves_a_failed_record(tiny, phantom, tracker, tmp_path):
    record = record_failure(
        tiny, phantom, "the process was ended by SIGKILL.", tracker=tracker, runs=tmp_path, suite_id=None
    )
    assert tracker.records[record.fingerprint].reason == "the process was ended by SIGKILL."


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("model", {"in_channels": 3}, r"has 1 channel\(s\) per slice. Received: model.in_channels = 3. Allowed: 1"),
        ("model", {"classes": 4}, r"one class of mask, lesion. Received: model.classes = 4. Allowed: 1"),
        ("augment", {"shift_px": 64}, r"augment.shift_px must be smaller than the image side of 64. Received: 64"),
        ("train", {"loss": (LossTerm(name="dice_bce"),)}, r"Unknown loss 'dice_bce'. Did you mean 'dice_ce'"),
        ("model", {"labels": ("LR1", "odd")}, r"no case with the label 'odd'. Allowed in model.labels: LR1, LR2"),
        ("model", {"name": "cnn"}, r"Unknown model 'cnn'"),
        ("data", {"test_fraction": 0.01}, r"too few to split"),
    ],
)
def test_what_a_dataset_cannot_serve_is_refused_before_anything_starts(tiny, phantom, section, settings, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        check_experiment(changed(tiny, section, **settings), phantom)


def test_pretrained_weights_are_asked_for_by_their_name(run, tiny, monkeypatch):
    asked = []

    def remember(config, transfer, run_folder):
        asked.append(transfer.weights)
        raise WeightsUnavailable("not here")

    monkeypatch.setattr("lungzoo.experiment.build_started", remember)
    model = {"name": "unet_mobilenetv2", "encoder_options": (("alpha", 0.35),)}
    config = changed(changed(tiny, "model", **model), "transfer", recipe="frozen", weights="imagenet")
    assert run(config).status == "skipped"
    assert asked == ["imagenet"]


def test_an_outcome_that_was_not_recorded_is_tried_again(run, tracker, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lungzoo.experiment.build_started", broken)
    tracker.down = True
    with pytest.raises(TrackingError, match=r"was failed: ZeroDivisionError: a bug"):
        run()
    monkeypatch.undo()
    tracker.down = False
    assert run().status == "finished"


def test_a_disk_that_takes_no_results_still_leaves_a_row(run, tracker, monkeypatch):
    def full(self):
        raise StorageError("Cannot save the results in runs: No space left on device. Free some space.")

    monkeypatch.setattr(Workspace, "packing", full)
    record = run()
    assert (record.status, tracker.records[record.fingerprint].status) == ("failed", "failed")
    assert "No space left" in record.reason


def test_results_of_a_dead_process_are_delivered_not_replaced(run, tiny, phantom, tracker, tmp_path):
    tracker.down = True
    with pytest.raises(TrackingError):
        run()
    tracker.down = False
    record = record_failure(tiny, phantom, "died", tracker=tracker, runs=tmp_path / "runs", suite_id=None)
    assert record.status == "finished"


def test_a_split_without_lesions_is_refused(tiny, phantom):
    with pytest.raises(ConfigError, match=r"the train split of 'phantom' has no slice with a lesion of at least 4000"):
        check_experiment(changed(tiny, "score", min_lesion_px=4000), phantom)


def changed_many(config: ExperimentConfig, **sections) -> ExperimentConfig:
    values = config.model_dump(mode="json")
    for section, settings in sections.items():
        values[section] |= settings
    return parse(ExperimentConfig, values, "test")


SHORT = {"epochs": 2}


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory):
    """A tracker that holds one finished run."""
    tracker = ListTracker(tmp_path_factory.mktemp("trained"))
    config = parse(ExperimentConfig, TINY | {"train": TINY["train"] | SHORT}, "test")
    run_experiment(config, phantom, tracker=tracker, runs=tmp_path_factory.mktemp("runs"))
    return tracker


@pytest.fixture
def first(trained, tracker):
    """The record of a finished run, which the tracker holds."""
    tracker.adopt(trained)
    (record,) = tracker.records.values()
    return record


def test_a_recipe_from_random_weights(run, tiny):
    record = run(changed_many(tiny, train=SHORT, transfer={"recipe": "random_frozen"}))
    assert record.status == "finished", record.reason


@pytest.mark.parametrize(
    "recipes",
    [
        ("staged", "linear_probe"),
        pytest.param(("finetune", "gradual", "discriminative", "frozen"), marks=pytest.mark.slow),
    ],
    ids=["two", "the others"],
)
def test_a_run_starts_where_a_finished_one_ended(run, tiny, first, recipes, tracker):
    starts = {}
    of_first = read_manifest(tracker.kept_weights / "manifest.json")
    for recipe in recipes:
        epochs = {"epochs": 4 if recipe == "gradual" else 2}
        record = run(changed_many(tiny, train=epochs, transfer={"recipe": recipe, "weights": "run:run-first"}))
        assert record.status == "finished", record.reason
        starts[recipe] = record.environment["encoder_start_sha256"]
        manifest = read_manifest(tracker.folder / record.fingerprint / "weights" / "manifest.json")
        inherited, patients = manifest.trained_on.inherited, of_first.trained_on.patients
        assert of_first.trained_on.inherited == Inherited()
        assert inherited.complete
        assert "started from run-" in manifest.attribution
        assert (set(inherited.train), set(inherited.val)) == (set(patients.train), set(patients.val))
    assert len(set(starts.values())) == 1
    assert first.environment["encoder_start_sha256"] not in starts.values()


@pytest.mark.parametrize(
    ("weights", "model", "text"),
    [
        ("run:run-first", {"encoder_depth": 2}, r"encoder_depth = 3, .*Received: encoder_depth = 2"),
        ("run:run-first", {"decoder_channels": [9, 8, 8]}, r"decoder_channels = \[8, 8, 8\]\. Received: .*\[9, 8, 8\]"),
        ("run:run-first", {"in_slices": 3}, r"in_slices = 1\. Received: in_slices = 3"),
        ("run:another", {}, "No run 'another'"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_before_anything_starts(run, tiny, first, tracker, weights, model, text):
    with pytest.raises(UsageError, match=text):
        run(changed_many(tiny, train=SHORT, transfer={"recipe": "finetune", "weights": weights}, model=model))
    assert len(tracker.records) == 1


def test_what_training_starts_from_is_pinned_and_part_of_the_fingerprint(run, tiny, phantom, first, tracker):
    file = tracker.kept_weights / "weights.npz"
    config = changed_many(tiny, train=SHORT, transfer={"recipe": "finetune", "weights": str(file)})
    record = run(config)
    pinned = record.config["transfer"]["sha256"]
    assert pinned == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record.fingerprint != config.fingerprint(phantom.fingerprint)
    by_run = changed_many(tiny, train=SHORT, transfer={"recipe": "finetune", "weights": "run:run-f"})
    transfer = check_experiment(by_run, phantom, tracker).transfer
    assert (transfer.weights, transfer.sha256) == ("run:run-first", pinned)
    stale = changed_many(config, transfer={"sha256": "0" * 64})
    with pytest.raises(WeightsMismatch, match=r"not those that transfer.sha256 names, 000000000000…. Received: sha256"):
        check_experiment(stale, phantom)


def test_published_weights_are_pinned_too(tiny, phantom):
    published = {"name": "unet_mobilenetv2", "encoder_options": {"alpha": 0.35}, "encoder_depth": 4}
    config = changed_many(tiny, model=published, transfer={"recipe": "finetune", "weights": "lidc"})
    config = changed_many(config, model={"decoder_channels": [8] * 4})
    manifest = hub.find("unet_mobilenetv2_035-lidc-v1")
    assert check_experiment(config, phantom).transfer.sha256 == manifest.sha256


def test_finished_weights_load_by_themselves(first, tracker):
    import lungzoo

    model = lungzoo.load(tracker.kept_weights)
    assert model(np.zeros((1, 50, 70, 1), "float32")).shape == (1, 50, 70, 1)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"in_slices": 3}, marks=pytest.mark.slow),
        pytest.param({"deep_supervision": True}, marks=pytest.mark.slow),
        pytest.param({"labels": None}, marks=pytest.mark.slow),
        {"labels": None, "deep_supervision": True, "in_slices": 5},
    ],
    ids=["2.5D", "deep supervision", "label head", "all"],
)
def test_other_views_and_heads_train_through_the_same_path(run, tiny, phantom, settings):
    if "labels" in settings:
        rows = select_rows(phantom, split_dataset(phantom, tiny.data), tiny.data)["train"]
        labels = sorted(set(phantom.cases["label"].iloc[rows]) - {""})
        assert len(labels) > 1
        settings = settings | {"labels": labels}
    record = run(changed_many(tiny, train=SHORT, model=settings))
    assert record.status == "finished", record.reason
    assert ("label_accuracy" in record.metrics) == ("labels" in settings)


@pytest.mark.slow
def test_losses_are_summed_by_weight(run, tiny):
    record = run(changed_many(tiny, train=SHORT | {"loss": {"dice": 1.0, "focal": {"weight": 0.5, "gamma": 3.0}}}))
    assert record.status == "finished", record.reason


def test_weights_that_have_seen_the_test_patients_are_refused(tiny, phantom, first, tracker):
    file = {"recipe": "finetune", "weights": str(tracker.kept_weights / "weights.npz")}
    check_experiment(changed_many(tiny, transfer=file), phantom)
    with pytest.raises(ConfigError, match=r"were trained on \d of the \d test patients, such as .*split_seed = 0"):
        check_experiment(changed_many(tiny, transfer=file, data={"split_seed": 1}), phantom)


def test_leakage_that_is_allowed_is_on_record(tiny, phantom, first, tracker, tmp_path):
    file = {"recipe": "finetune", "weights": str(tracker.kept_weights / "weights.npz")}
    config = changed_many(tiny, transfer=file, data={"split_seed": 1}, train=SHORT)
    record = run_experiment(config, phantom, tracker=tracker, runs=tmp_path / "runs", allow_leakage=True)
    assert record.status == "finished", record.reason
    assert record.split["leakage"].startswith("Leakage was allowed, so the scores are too good. The weights 'run-")


@pytest.mark.parametrize(
    ("data", "model"),
    [
        pytest.param({"windows": ["lung", "mediastinum", "bone"]}, {"in_channels": 3}, marks=pytest.mark.slow),
        ({"normalise": "zscore"}, {}),
        pytest.param({"size_px": 48, "preprocess": ["clahe"]}, {}, marks=pytest.mark.slow),
        ({"spacing_mm": 8.0, "size_px": 40}, {"in_slices": 3}),
    ],
    ids=["windows", "z-score", "size and CLAHE", "spacing, 2.5D"],
)
def test_preprocessed_slices_train_and_are_scored_on_their_own_grid(run, tiny, phantom, tracker, data, model):
    record = run(changed_many(tiny, train=SHORT, data=data, model=model))
    assert record.status == "finished", record.reason
    truth = phantom.lesion_px(2)[select_rows(phantom, split_dataset(phantom, tiny.data), tiny.data)["test"]]
    (scored,) = tracker.artifacts([record.fingerprint], "per_case.csv").values()
    assert pd.read_csv(scored)["reference_px"].tolist() == truth.tolist()
    assert bool(record.environment["intensity"]) == (data.get("normalise") == "zscore")


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"data": {"windows": ["lung", "bone"]}}, r"with 2 data.windows has 2 channel\(s\) per slice. .*Allowed: 2"),
        ({"data": {"size_px": 32}, "score": {"shift_px": 4}}, "scored on their own grid, unshifted"),
        ({"data": {"size_px": 32}, "augment": {"shift_px": 32}}, "smaller than the image side of 32"),
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(tiny, phantom, sections, text):
    with pytest.raises(ConfigError, match=text):
        check_experiment(changed_many(tiny, **sections), phantom)


def test_xla_needs_determinism_off(tiny, phantom):
    with pytest.raises(ConfigError, match=r"train.jit_compile needs train.deterministic = false"):
        check_experiment(changed_many(tiny, train={"jit_compile": True}), phantom)


def test_more_stages_than_epochs_are_refused(tiny, phantom):
    with pytest.raises(ConfigError, match=r"has 4 stages, so train.epochs must be at least 4. Received: 3"):
        check_experiment(
            changed_many(tiny, transfer={"recipe": "gradual", "weights": "run:any"}, train={"epochs": 3}), phantom
        )
