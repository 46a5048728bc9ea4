"""When a trial gives up."""

from lungzoo.search.outcome import Outcome, Outcomes
from lungzoo.search.stopping import behind_median, ring, time_is_up, unring
from lungzoo.training.checkpoint import Progress


def others(*curves, state="finished"):
    return [Outcome(f"{number:04d}", state, {}, curve=curve) for number, curve in enumerate(curves)]


def test_behind_the_median_of_four():
    """Best by the second epoch: 0.5, 0.6, 0.7 and 0.8; their median is 0.65."""
    before = others((0.1, 0.5), (0.6, 0.2), (0.7, 0.7), (0.2, 0.8, 0.9))
    reason = behind_median(Progress(epoch=2, best_val_dice=0.64), before, 8)
    assert reason == "validation Dice 0.640 after 2 epochs, below the median 0.650 of 4 trials."
    assert behind_median(Progress(epoch=2, best_val_dice=0.65), before, 8) == ""


def test_it_waits_for_trials_and_epochs():
    before = others(*[(0.9,) * 12] * 4)
    assert behind_median(Progress(epoch=3, best_val_dice=0.1), before[:3], 8) == ""
    assert behind_median(Progress(epoch=1, best_val_dice=0.1), before, 4) == ""
    assert behind_median(Progress(epoch=2, best_val_dice=0.1), before, 12) == ""
    assert behind_median(Progress(epoch=3, best_val_dice=0.1), before, 12)


def test_only_finished_trials_that_got_as_far_count():
    before = [*others(*[(0.9, 0.9)] * 4, state="pruned"), *others(*[(0.9,)] * 4)]
    assert behind_median(Progress(epoch=2, best_val_dice=0.1), before, 8) == ""


def test_the_bell(tmp_path):
    assert not time_is_up(tmp_path)
    ring(tmp_path)
    assert time_is_up(tmp_path)
    unring(tmp_path)
    assert not time_is_up(tmp_path)


def test_an_outcome_reads_back_as_it_was(tmp_path):
    outcome = Outcome("0002", "pruned", {"a": [1, 2]}, 0.5, 3, 3, 1.5, 2.0, "why", (0.1, 0.5), "0001", 1, 2, ("id",))
    Outcomes(tmp_path).write(outcome)
    assert Outcomes(tmp_path).all() == [outcome]
    assert Outcomes(tmp_path).find("0003") is None
