"""Trials that really train, on the phantom: what they read, where they go on from, how they end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungzoo.data.splits.split import split_dataset
from lungzoo.errors import BusyError, TrackingError
from lungzoo.events import TrialEnded, TrialStarted
from lungzoo.search import trial as trial_room
from lungzoo.search.outcome import Outcome
from lungzoo.search.run import cut_off
from lungzoo.search.stopping import TimeIsUp, ring, unring
from lungzoo.search.trial import Asked, Trials
from lungzoo.training.checkpoint import CheckpointFolder

from .conftest import BASE, make_plan


@pytest.fixture
def events():
    return []


@pytest.fixture
def trials(phantom, tracker, tmp_path, events):
    tracker.start_run_ids = []
    return Trials(make_plan(), phantom, tracker, tmp_path, "search", events.append)


class Watched(np.ndarray):
    """An array that remembers which rows were read."""

    read: set[int]

    def __getitem__(self, key):
        rows = key[0] if isinstance(key, tuple) else key
        if np.ndim(self) == 3:
            self.read.update(np.arange(len(self))[rows].ravel().tolist())
        return np.asarray(super().__getitem__(key))


def watched(array) -> Watched:
    view = np.asarray(array).view(Watched)
    view.read = set()
    return view


def test_no_test_case_is_read(trials, phantom, tracker):
    """Neither its image nor its mask: the whole trial goes through arrays that remember their reader."""
    dataset = phantom.without(np.array([], int))
    dataset.images, dataset.masks = watched(phantom.images), watched(phantom.masks)
    trials.dataset = dataset
    split = split_dataset(phantom, trials.plan.experiment.data)
    held_out = set(split.rows(phantom.cases, "test").tolist())
    seen = {row for part in ("train", "val") for row in split.rows(phantom.cases, part).tolist()}

    outcome = trials.carry_out(Asked("0000", {}, until=2))

    assert outcome.state == "finished"
    for array in (dataset.images, dataset.masks):
        assert not array.read & held_out
        assert array.read >= seen - held_out - set(np.flatnonzero(phantom.disputed(2)).tolist())
    record = next(iter(tracker.records.values()))
    assert record.metrics == {}
    assert "per_case.csv" not in tracker.names


def test_the_guard_of_that_test_notices(phantom, tiny, tracker, tmp_path):
    """An ordinary run reads the test split, so the arrays above would have noticed."""
    from lungzoo.experiment import run_experiment

    dataset = phantom.without(np.array([], int))
    dataset.images, dataset.masks = watched(phantom.images), watched(phantom.masks)
    run_experiment(tiny, dataset, tracker=tracker, runs=tmp_path)
    held_out = set(split_dataset(phantom, tiny.data).rows(phantom.cases, "test").tolist())
    assert dataset.images.read >= held_out
    assert dataset.masks.read >= held_out


def test_a_later_rung_goes_on_from_the_checkpoint(trials, tracker, events):
    """Two epochs, then one more: the same weights as three in one go, and only one epoch is trained."""
    first = trials.carry_out(Asked("0000", {}, until=2, bracket=1, round=0))
    second = trials.carry_out(Asked("0001", {}, until=3, continues="0000", bracket=1, round=1))
    whole = trials.carry_out(Asked("0002", {}, until=3))

    assert (first.epochs, second.epochs, whole.epochs) == (2, 1, 3)
    assert second.until == 3
    assert second.curve[:2] == first.curve
    assert second.curve == whole.curve
    assert 0 < second.train_seconds <= second.seconds  # without what the first trained
    continued, alone = (_variables(trials, tracker, number) for number in ("0001", "0002"))
    assert all(np.array_equal(one, other) for one, other in zip(continued, alone, strict=True))
    epochs = [event.epoch for event in events if type(event).__name__ == "EpochDone"]
    assert epochs == [0, 1, 2, 0, 1, 2]


def impatient(phantom, tracker, folder, observe, **changes) -> Trials:
    """Trials that learn nothing, and stop where they have learned nothing for an epoch."""
    train = {**BASE["train"], "epochs": 16, "patience": 1, "learning_rate": 1e-9}
    return Trials(make_plan(base={**BASE, "train": train}, **changes), phantom, tracker, folder, "search", observe)


def whole(phantom, tracker, folder, observe, **changes) -> Trials:
    """Trials of three epochs."""
    return Trials(make_plan(**changes), phantom, tracker, folder, "search", observe)


def test_a_trial_that_patience_ended_can_be_gone_on_from(phantom, tracker, tmp_path, events):
    """There is nothing to train in either later rung, and the second finds what the first has taken over."""
    trials = impatient(phantom, tracker, tmp_path, events.append)
    first = trials.carry_out(Asked("0000", {}, until=8))
    second = trials.carry_out(Asked("0001", {}, until=12, continues="0000"))
    third = trials.carry_out(Asked("0002", {}, until=16, continues="0001"))
    assert 1 < first.until < 8
    for later in (second, third):
        assert (later.state, later.epochs, later.train_seconds) == ("finished", 0, 0.0)
        assert (later.until, later.curve, later.val_dice) == (first.until, first.curve, first.val_dice)
    epochs = [event.epoch for event in events if type(event).__name__ == "EpochDone"]
    assert epochs == list(range(first.until))


def _variables(trials, tracker, number: str):
    record = next(each for each in tracker.records.values() if each.trial["number"] == number)
    found = CheckpointFolder(trials.runs / record.fingerprint[:16] / "checkpoints").load()
    assert found is not None
    return found[1]


def test_a_trial_that_is_over_is_not_repeated(trials, events):
    asked = Asked("0000", {}, until=1)
    assert trials.carry_out(asked) == trials.carry_out(asked)
    assert [type(event) for event in events if isinstance(event, TrialStarted | TrialEnded)] == [
        TrialStarted,
        TrialEnded,
    ]


def test_a_trial_killed_between_its_record_and_its_outcome_trains_nothing_again(trials, events):
    asked = Asked("0000", {}, until=2)
    outcome = trials.carry_out(asked)
    (trials.folder / "outcomes" / "0000.json").unlink()
    trials.outcomes._known.clear()
    events.clear()
    assert replace(trials.carry_out(asked), seconds=outcome.seconds) == outcome
    assert not [event for event in events if type(event).__name__ == "EpochDone"]


def test_a_trial_that_another_machine_still_has_is_waited_for(trials, events, monkeypatch):
    other = Outcome("0000", "finished", {}, 0.7, epochs=2, seconds=5.0)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            trials.outcomes.write(other)

    def busy(*args, **kwargs):
        raise BusyError("Another process holds it.")

    monkeypatch.setattr(trial_room, "run_experiment", busy)
    monkeypatch.setattr(trial_room.time, "sleep", sleep)
    assert trials.carry_out(Asked("0000", {}, until=2)) == other
    assert len(waited) == 2
    assert [type(event).__name__ for event in events] == ["TrialStarted", "Note", "TrialEnded"]
    assert events[1].text == "Trial 0000 waits: Another process holds it."
    ring(trials.folder)
    with pytest.raises(TimeIsUp):
        trials.carry_out(Asked("0001", {}, until=2))


def test_repeats_have_seeds_of_their_own_and_their_mean_counts(phantom, tracker, tmp_path, events):
    trials = Trials(make_plan(repeats=2), phantom, tracker, tmp_path, "search", events.append)
    outcome = trials.carry_out(Asked("0000", {}, until=1))
    dice = {record.seed: record.validation["val_dice"] for record in tracker.records.values()}
    assert sorted(dice) == [0, 1]
    assert outcome.val_dice == pytest.approx((dice[0] + dice[1]) / 2)
    assert (outcome.epochs, len(outcome.runs)) == (2, 2)


def test_a_loss_that_is_no_number(trials, tracker):
    outcome = trials.carry_out(Asked("0000", {"train.learning_rate": 1e30}, until=2))
    assert (outcome.state, outcome.val_dice) == ("diverged", None)
    assert outcome.reason.startswith("The loss became NaN")
    record = next(iter(tracker.records.values()))
    assert (record.status, record.trial["state"]) == ("failed", "diverged")


def test_a_trial_that_raises_is_recorded(trials, tracker, monkeypatch):
    def exhausted(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("lungzoo.experiment.build_started", exhausted)
    outcome = trials.carry_out(Asked("0000", {}, until=1))
    assert (outcome.state, outcome.reason) == (
        "failed",
        "out of memory. Lower train.batch_size or choose a smaller model.",
    )
    assert next(iter(tracker.records.values())).trial["state"] == "failed"


def test_settings_that_do_not_go_together_are_a_failed_trial(trials, tracker):
    """Each passes alone: three windows are fine for a model of three channels."""
    outcome = trials.carry_out(Asked("0000", {"data.windows": ["lung", "bone"]}, until=1))
    assert outcome.state == "failed"
    assert "model.in_channels" in outcome.reason
    assert next(iter(tracker.records.values())).status == "failed"


PUBLISHED = {"model.name": "unet_mobilenetv2", "model.encoder_options": {"alpha": 0.35}, "model.encoder_depth": 4}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {**PUBLISHED, "transfer": "lungzoo:unet_mobilenetv2_035-lidc-v1-finetune"},
            "The weights 'unet_mobilenetv2_035-lidc-v1' are those of a model with decoder_channels",
        ),
        ({"transfer": "run:nothing-finetune"}, "No run 'nothing'"),
    ],
)
def test_a_start_that_does_not_fit_is_a_failed_trial(trials, tracker, values, reason):
    """Whole-model weights and a decoder pass one by one; the trial is a row of the search, and no run."""
    asked = Asked("0000", {**values, "model.decoder_channels": [8] * 3 + [8] * ("model.name" in values)}, until=1)
    outcome = trials.carry_out(asked)
    assert (outcome.state, outcome.val_dice, outcome.runs) == ("failed", None, ())
    assert outcome.reason.startswith(reason)
    assert tracker.records == {}
    assert replace(trials.give_up(asked, outcome.reason), seconds=outcome.seconds) == outcome


def test_a_trial_whose_process_died_is_given_up(trials, tracker):
    outcome = trials.give_up(Asked("0000", {}, until=1), "the process was ended by SIGKILL.")
    assert trials.carry_out(Asked("0000", {}, until=1)) == outcome
    assert next(iter(tracker.records.values())).reason == "the process was ended by SIGKILL."


def test_giving_up_keeps_a_result_that_only_waited_for_delivery(trials, tracker):
    """The process had done its work; it died because the store did not answer."""
    asked = Asked("0000", {}, until=1)
    tracker.down = True
    with pytest.raises(TrackingError, match="are safe in"):
        trials.carry_out(asked)
    tracker.down = False
    outcome = trials.give_up(asked, "the process ended with code 1.")
    (record,) = tracker.records.values()
    assert (outcome.state, outcome.reason, record.status) == ("finished", "", "finished")
    assert outcome.val_dice == record.validation["val_dice"]
    assert (outcome.epochs, trials.carry_out(asked)) == (1, outcome)


def test_a_trial_behind_the_others_is_pruned(phantom, tracker, tmp_path, events):
    trials = Trials(make_plan(prune=True), phantom, tracker, tmp_path, "search", events.append)
    good = trials.carry_out(Asked("0000", {}, until=3))
    for number in range(1, 4):
        trials.outcomes.write(replace(good, number=f"{number:04d}", curve=(1.0, 1.0, 1.0)))
    outcome = trials.carry_out(Asked("0009", {"train.learning_rate": 1e-6}, until=3))
    assert (outcome.state, outcome.epochs) == ("pruned", 2)
    assert "below the median" in outcome.reason
    assert outcome.val_dice is not None


def test_when_the_time_is_up_a_trial_ends_with_its_epoch_and_goes_on_with_more(trials, tracker, events):
    ring(trials.folder)
    with pytest.raises(TimeIsUp):
        trials.carry_out(Asked("0000", {}, until=3))
    assert trials.outcomes.all() == []
    assert [progress.own_epochs for progress in cut_off(trials.folder, ())] == [1]  # in no outcome yet
    (record,) = tracker.records.values()
    assert (record.trial["state"], record.reason) == ("pruned", "the time of the search was over.")
    unring(trials.folder)
    outcome = trials.carry_out(Asked("0000", {}, until=3))
    assert (outcome.state, outcome.epochs, outcome.reason) == ("finished", 3, "")
    assert list(cut_off(trials.folder, (outcome,))) == []
    assert [event.epoch for event in events if type(event).__name__ == "EpochDone"] == [0, 1, 2]


def test_a_trial_out_of_time_goes_on_though_its_record_was_not_delivered(trials, tracker, events):
    ring(trials.folder)
    tracker.down = True
    with pytest.raises(TrackingError, match="are safe in"):
        trials.carry_out(Asked("0000", {}, until=2))
    tracker.down = False
    unring(trials.folder)
    outcome = trials.carry_out(Asked("0000", {}, until=2))
    assert (outcome.state, outcome.epochs, outcome.reason) == ("finished", 2, "")
    assert [event.epoch for event in events if type(event).__name__ == "EpochDone"] == [0, 1]


@pytest.mark.slow
def test_a_trial_that_is_whole_when_the_time_is_up_is_finished(trials):
    ring(trials.folder)
    assert trials.carry_out(Asked("0000", {}, until=1)).state == "finished"


def test_a_trial_does_not_go_on_from_one_that_broke(trials, tracker, events):
    trials.give_up(Asked("0000", {}, until=1), "out of memory.")
    outcome = trials.carry_out(Asked("0001", {}, until=3, continues="0000"))
    assert (outcome.state, outcome.epochs) == ("failed", 0)
    assert outcome.reason == "Trial 0000, which it would go on from, broke: out of memory."
    assert len(outcome.runs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("make", [impatient, whole])
def test_giving_up_leaves_the_seeds_that_are_over_alone(phantom, tracker, tmp_path, events, make):
    """Also where patience ended them long before the last epoch."""
    asked = Asked("0000", {}, until=8)
    one = make(phantom, tracker, tmp_path, events.append)
    first = one.carry_out(asked)  # the first seed of the trial, before its process died
    (tmp_path / "outcomes" / "0000.json").unlink()
    trials = make(phantom, tracker, tmp_path, events.append, repeats=2)
    outcome = trials.give_up(asked, "the process was ended by SIGKILL.")
    states = {record.seed: record.status for record in tracker.records.values()}
    assert states == {0: "finished", 1: "failed"}
    assert (outcome.state, outcome.val_dice) == ("failed", None)
    assert (outcome.epochs, outcome.train_seconds, len(outcome.runs)) == (first.epochs, first.train_seconds, 2)
