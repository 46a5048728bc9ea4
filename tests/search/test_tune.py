"""Keras Tuner's algorithms behind our own trials; nothing trains here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from lungzoo.errors import TrackingError
from lungzoo.search import tune
from lungzoo.search.outcome import Outcome, Outcomes
from lungzoo.search.plan import SearchPlan, hyperband_rungs
from lungzoo.search.stopping import TimeIsUp, ring, unring
from lungzoo.search.trial import Asked

from .conftest import SPACE, make_plan, make_space


class Pretend:
    """Carries out trials without training: the score is a function of the settings."""

    def __init__(self, folder: Path, fail: tuple[str, ...] = (), cut_off: str = "") -> None:
        self.outcomes = Outcomes(folder)
        self.fail, self.cut_off = fail, cut_off
        self.asked: list[Asked] = []

    def carry_out(self, asked: Asked) -> Outcome:
        if asked.number == self.cut_off:
            self.cut_off = ""
            raise KeyboardInterrupt
        if (over := self.outcomes.find(asked.number)) is not None:
            return over
        self.asked.append(asked)
        if asked.number in self.fail:
            outcome = Outcome(asked.number, "failed", asked.values, reason="out of memory")
        else:
            rate = asked.values.get("train.learning_rate", 0.01)
            dice = min(0.5 + 0.01 * asked.until + 10 * rate * (0.02 - rate), 1.0)
            outcome = Outcome(asked.number, "finished", asked.values, dice, epochs=asked.until)
        self.outcomes.write(outcome)
        return outcome


def go(plan: SearchPlan, folder: Path, **settings: Any) -> Pretend:
    trials = Pretend(folder, **settings)
    tune.search(plan, folder, trials)  # type: ignore[arg-type]
    return trials


def grid_space() -> dict[str, Any]:
    parameters = {key: value for key, value in SPACE["parameters"].items() if key != "train.learning_rate"}
    return {**SPACE, "parameters": parameters}


def test_random_search_asks_for_as_many_trials_as_it_may(tmp_path):
    trials = go(make_plan(trials=5), tmp_path)
    assert [asked.number for asked in trials.asked] == ["0000", "0001", "0002", "0003", "0004"]
    assert all(1e-3 <= asked.values["train.learning_rate"] <= 1e-1 for asked in trials.asked)


def test_a_seed_of_zero_is_a_seed(tmp_path):
    first, second = (go(make_plan(trials=4), tmp_path / name) for name in "ab")
    assert [asked.values for asked in first.asked] == [asked.values for asked in second.asked]
    other = go(make_plan(trials=4, search_seed=1), tmp_path / "c")
    assert [asked.values for asked in other.asked] != [asked.values for asked in first.asked]


def test_grid_search_tries_every_combination_once(tmp_path):
    trials = go(make_plan(tuner="grid", trials=None, space=grid_space()), tmp_path)
    tried = {json.dumps(asked.values, sort_keys=True) for asked in trials.asked}
    assert len(trials.asked) == len(tried) == 8


def test_a_condition_holds_in_every_trial(tmp_path):
    trials = go(make_plan(trials=20), tmp_path)
    for asked in trials.asked:
        with_attention = asked.values["model.decoder_attention"] == "scse"
        assert ("model.decoder_dropout" in asked.values) == with_attention


def test_a_condition_holds_on_the_way_to_a_worker():
    """Keras Tuner fills in what depends on a first choice, here share and dropout, whatever was chosen."""
    space = make_space(
        **{
            "model.decoder_dropout": {"choices": [0.1, 0.2], "when": {"transfer.options.decoder_share": [0.5]}},
            "transfer": {"choices": ["imagenet-staged", "imagenet-finetune"]},
            "transfer.options.decoder_share": {"choices": [0.5, 0.3], "when": {"transfer": ["imagenet-staged"]}},
        }
    )

    def arrived(**values: Any) -> dict[str, Any]:
        sent = tune.hyperparameters_of(space)
        sent.values = {key: json.dumps(value) if isinstance(value, str) else value for key, value in values.items()}
        return tune.unpacked(space, keras_tuner.HyperParameters.from_proto(sent.to_proto()).values)

    assert arrived(transfer="imagenet-finetune") == {"transfer": "imagenet-finetune"}
    staged = {"transfer": "imagenet-staged", "transfer.options.decoder_share": 0.3}
    assert arrived(**staged) == staged
    staged |= {"transfer.options.decoder_share": 0.5, "model.decoder_dropout": 0.2}
    assert arrived(**staged) == staged


@pytest.mark.slow
def test_bayesian_search_leaves_chance_behind(tmp_path):
    """The best rate is 0.01; after twelve random trials the Gaussian process has an idea of it."""
    plan = make_plan(tuner="bayesian", trials=16, space={**SPACE, "parameters": _rate()})
    trials = go(plan, tmp_path)
    chosen = [asked.values["train.learning_rate"] for asked in trials.asked[-3:]]
    assert all(0.003 < rate < 0.03 for rate in chosen)


def _rate() -> dict[str, Any]:
    return {"train.learning_rate": SPACE["parameters"]["train.learning_rate"]}


@pytest.mark.parametrize(("epochs", "factor"), [(9, 3), (8, 2), (10, 3), (1, 3), (6, 4)])
def test_hyperband_runs_the_rungs_that_a_dry_run_tells(tmp_path, epochs, factor):
    base = {**make_plan().base, "train": {"epochs": epochs}}
    plan = make_plan(tuner="hyperband", trials=None, factor=factor, base=base)
    trials = go(plan, tmp_path)
    told: dict[int, int] = {}
    for size, until in hyperband_rungs(epochs, factor):
        told[until] = told.get(until, 0) + size
    asked = [each.until for each in trials.asked]
    assert {until: asked.count(until) for until in set(asked)} == told


FOUR = {key: SPACE["parameters"][key] for key in ("train.loss", "model.decoder_attention")}


@pytest.mark.parametrize("trials", [None, 100])
def test_hyperband_of_few_combinations_promotes_what_there_is(tmp_path, trials):
    """Of four combinations, ⌈4/3⌉ go on for three epochs and ⌈4/9⌉ for nine; then there is nothing new."""
    base = {**make_plan().base, "train": {"epochs": 9}}
    plan = make_plan(tuner="hyperband", trials=trials, base=base, space={**SPACE, "parameters": FOUR})
    asked = go(plan, tmp_path).asked
    assert [each.until for each in asked] == [1, 1, 1, 1, 3, 3, 9]
    assert len({json.dumps(each.values) for each in asked}) == 4
    assert len({each.continues for each in asked}) == 4
    assert go(plan, tmp_path).asked == []


def test_hyperband_of_few_combinations_that_was_cut_off_goes_on(tmp_path):
    base = {**make_plan().base, "train": {"epochs": 9}}
    plan = make_plan(tuner="hyperband", trials=None, base=base, space={**SPACE, "parameters": FOUR})
    for number in ("0005", "0006"):
        with pytest.raises(KeyboardInterrupt):
            go(plan, tmp_path, cut_off=number)
    go(plan, tmp_path)
    assert [outcome.epochs for outcome in Outcomes(tmp_path).all()] == [1, 1, 1, 1, 3, 3, 9]


def test_later_brackets_of_hyperband_have_what_is_left(tmp_path):
    """The first bracket takes nine of the twelve combinations; chance need not find all others."""
    base = {**make_plan().base, "train": {"epochs": 9}}
    parameters = {**FOUR, "train.batch_size": {"choices": [2, 4, 8]}}
    plan = make_plan(tuner="hyperband", trials=None, base=base, space={**SPACE, "parameters": parameters})
    asked = go(plan, tmp_path).asked
    until = [[each.until for each in asked if each.bracket == bracket] for bracket in (2, 1, 0)]
    assert until[0] == [1] * 9 + [3] * 3 + [9]
    assert until[1] in ([3] * begun + [9] for begun in (1, 2, 3))
    assert until[2] == []


def test_hyperband_that_found_nothing_new_does_not_look_again_when_it_goes_on(tmp_path, monkeypatch):
    """Chance missed what is left; a second look would begin trials that the whole search had not."""
    base = {**make_plan().base, "train": {"epochs": 9}}
    parameters = {**FOUR, "train.batch_size": {"choices": [2, 4, 8]}}
    plan = make_plan(tuner="hyperband", trials=None, base=base, space={**SPACE, "parameters": parameters})
    real = tune._Hyperband._random_values
    begun: list[int] = []

    def blind(oracle: Any) -> Any:
        begun.append(1)
        return real(oracle) if len(begun) <= 10 else None

    with monkeypatch.context() as patched:
        patched.setattr(tune._Hyperband, "_random_values", blind)
        with pytest.raises(KeyboardInterrupt):
            go(plan, tmp_path, cut_off="0014")  # the one trial of the second bracket was promoted
    go(plan, tmp_path)
    go(plan, tmp_path)
    assert [outcome.epochs for outcome in Outcomes(tmp_path).all()] == [1] * 9 + [3] * 3 + [9] + [3] + [9]


def test_hyperband_goes_on_with_the_best(tmp_path):
    base = {**make_plan().base, "train": {"epochs": 9}}
    trials = go(make_plan(tuner="hyperband", trials=None, base=base), tmp_path)
    by_number = {asked.number: asked for asked in trials.asked}
    later = [asked for asked in trials.asked if asked.continues]
    assert later
    for asked in later:
        origin = by_number[asked.continues or ""]
        assert (origin.values, origin.until < asked.until) == (asked.values, True)
    first = [asked for asked in trials.asked if asked.bracket == 2 and asked.round == 0]
    best = sorted(first, key=lambda asked: trials.outcomes.find(asked.number).val_dice, reverse=True)[:3]  # type: ignore
    promoted = {asked.continues for asked in later if asked.bracket == 2 and asked.round == 1}
    assert promoted == {asked.number for asked in best}


def test_choices_of_any_kind_come_back_as_they_were(tmp_path):
    choices = [[8, 8, 8], [16, 8, 8]]
    parameters = {
        "model.decoder_channels": {"choices": choices},
        "train.deep": {"choices": [True, False]},
        "train.batch_size": {"choices": [4, 8]},
        "train.weight_decay": {"choices": [0, 1e-4]},
    }
    space = make_space(**parameters)
    plan = make_plan(trials=12, space=space.model_dump())
    for asked in go(plan, tmp_path).asked:
        assert asked.values["model.decoder_channels"] in choices
        assert isinstance(asked.values["train.deep"], bool)
        assert isinstance(asked.values["train.batch_size"], int)
        assert asked.values["train.weight_decay"] in (0, 1e-4)


def test_a_trial_that_breaks_is_a_row_and_the_search_goes_on(tmp_path):
    trials = go(make_plan(trials=5), tmp_path, fail=("0001", "0003"))
    assert len(trials.asked) == 5
    assert [outcome.state for outcome in trials.outcomes.all()].count("failed") == 2


@pytest.mark.parametrize("broken", [1, 3, 7])
def test_hyperband_promotes_the_others_where_trials_break(tmp_path, broken):
    """Of the nine trials of the first rung some break: the brackets keep their sizes all the same."""
    base = {**make_plan().base, "train": {"epochs": 9}}
    fail = tuple(f"{number:04d}" for number in range(broken))
    trials = go(make_plan(tuner="hyperband", trials=None, base=base), tmp_path, fail=fail)
    assert len(trials.asked) == sum(size for size, _ in hyperband_rungs(9, 3))
    second = [asked.continues for asked in trials.asked if (asked.bracket, asked.round) == (2, 1)]
    assert len(second) == 3
    assert len(set(second) - set(fail)) == min(3, 9 - broken)


def test_promoted_trials_are_of_the_bracket_that_they_come_from(tmp_path):
    """Of two workers one begins bracket 1, 2 trials of two epochs and more, while the other is at the first."""
    base = {**make_plan().base, "train": {"epochs": 4}}
    oracle = tune.make_oracle(make_plan(tuner="hyperband", trials=None, base=base, factor=2), tmp_path)
    asked: list[Asked] = []
    held: Any = None
    while (trial := oracle.create_trial("first" if held is None else "second")).status != "STOPPED":
        if trial.status == "IDLE":  # nothing is left beside what the slow worker has in hand
            trial, held = held, None
        else:
            values = trial.hyperparameters.values
            asked.append(tune.asked_for(oracle.plan, trial.trial_id, values))
            if (values["tuner/round"], held, len(asked)) == (0, None, 4):
                held = trial
                continue
        oracle.update_trial(trial.trial_id, {"val_dice": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    rounds = [(each.bracket, each.round, each.until) for each in asked]
    expected = [(2, 0, 1), (2, 1, 2), (2, 2, 4), (1, 0, 2), (1, 1, 4), (0, 0, 4)]
    sizes = [size for size, _ in hyperband_rungs(4, 2)]
    assert Counter(rounds) == dict(zip(expected, sizes, strict=True))
    assert rounds.index((1, 0, 2)) < rounds.index((2, 2, 4))


def test_the_budget_of_hyperband_may_change_later(tmp_path):
    base = {**make_plan().base, "train": {"epochs": 4}}
    settings = {"tuner": "hyperband", "base": base, "factor": 2}
    sweep = sum(size for size, _ in hyperband_rungs(4, 2))
    assert len(go(make_plan(trials=3, **settings), tmp_path).asked) == 3
    assert len(go(make_plan(trials=None, **settings), tmp_path).outcomes.all()) == sweep
    assert len(go(make_plan(trials=sweep + 5, **settings), tmp_path).outcomes.all()) == sweep + 5


def test_hyperband_without_its_budget_ends_the_sweep_it_is_in(tmp_path):
    """It must not begin a third."""
    base = {**make_plan().base, "train": {"epochs": 4}}
    settings = {"tuner": "hyperband", "base": base, "factor": 2}
    sweep = sum(size for size, _ in hyperband_rungs(4, 2))
    go(make_plan(trials=sweep + 1, **settings), tmp_path)
    try:
        go(make_plan(trials=None, **settings), tmp_path, cut_off=f"{2 * sweep:04d}")
    except KeyboardInterrupt:
        pytest.fail("the search goes on and on")
    assert len(Outcomes(tmp_path).all()) == 2 * sweep


def test_both_ends_of_a_range_with_steps_are_tried(tmp_path):
    parameters = {
        "model.decoder_dropout": {"low": 0.0, "high": 0.3, "step": 0.1},
        "train.batch_size": {"low": 4, "high": 16, "scale": "log", "step": 2},
    }
    plan = make_plan(tuner="grid", trials=None, space={**SPACE, "parameters": parameters})
    asked = go(plan, tmp_path).asked
    assert len(asked) == 12
    assert {round(each.values["model.decoder_dropout"], 6) for each in asked} == {0.0, 0.1, 0.2, 0.3}
    assert {each.values["train.batch_size"] for each in asked} == {4, 8, 16}


def test_a_store_that_is_down_is_no_failed_trial(tmp_path):
    class Down(Pretend):
        def carry_out(self, asked: Asked) -> Outcome:
            raise TrackingError("The store does not answer.")

    with pytest.raises(TrackingError, match="does not answer"):
        tune.search(make_plan(), tmp_path, Down(tmp_path))  # type: ignore[arg-type]
    assert Outcomes(tmp_path).all() == []


@pytest.mark.parametrize("tuner", ["random", "hyperband"])
def test_an_error_that_is_not_ours_ends_the_search_and_drops_no_trial(tmp_path, tuner):
    """Keras Tuner would call the trial invalid and go on; the same command has it again."""

    class Broken(Pretend):
        def carry_out(self, asked: Asked) -> Outcome:
            raise RuntimeError("Could not connect to the endpoint URL.")

    plan = make_plan(tuner=tuner, trials=3)
    with pytest.raises(RuntimeError, match="endpoint URL"):
        tune.search(plan, tmp_path, Broken(tmp_path))  # type: ignore[arg-type]
    assert [asked.number for asked in go(plan, tmp_path).asked] == ["0000", "0001", "0002"]


@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian", "hyperband"])
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path, tuner):
    base = {**make_plan().base, "train": {"epochs": 4}}
    plan = make_plan(tuner=tuner, trials=8, base=base, factor=2, space=grid_space())
    whole = go(plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(plan, tmp_path / "cut", cut_off="0003")
    rest = go(plan, tmp_path / "cut")
    outcomes = Outcomes(tmp_path / "cut").all()
    assert len(outcomes) == len(whole.asked)
    assert "0000" not in {asked.number for asked in rest.asked}
    assert [each.values for each in outcomes] == [each.values for each in whole.outcomes.all()]


def test_more_trials_may_be_asked_for_later(tmp_path):
    go(make_plan(trials=3), tmp_path)
    more = go(make_plan(trials=5), tmp_path)
    assert [asked.number for asked in more.asked] == ["0003", "0004"]


def test_a_trial_whose_file_was_written_just_before_a_kill(tmp_path):
    """The state does not know it, so its number is given out again, with the same settings."""
    go(make_plan(trials=3), tmp_path)
    whole = go(make_plan(trials=4), tmp_path / "whole")
    stray = json.loads((tmp_path / "whole" / "trial_0003" / "trial.json").read_text())
    (tmp_path / "trial_0003").mkdir()
    (tmp_path / "trial_0003" / "trial.json").write_text(json.dumps({**stray, "status": "RUNNING", "score": None}))
    rest = go(make_plan(trials=4), tmp_path)
    assert [asked.values for asked in rest.asked] == [whole.asked[3].values]


def test_the_budget_of_epochs(tmp_path):
    """Three epochs a trial: after the third trial nine are over."""
    trials = go(make_plan(trials=None, total_epochs=8), tmp_path)
    assert len(trials.asked) == 3


def test_when_the_time_is_up_no_trial_begins(tmp_path):
    ring(tmp_path)
    assert go(make_plan(), tmp_path).asked == []


def test_a_worker_whose_trial_ends_after_the_time_does_not_wait_for_a_chief(tmp_path, monkeypatch):
    """What it has done is found when the search goes on."""

    class Late(Pretend):
        def carry_out(self, asked: Asked) -> Outcome:
            ring(tmp_path)
            return super().carry_out(asked)

    with monkeypatch.context() as patched:
        patched.setattr(tune._Tuner, "_is_worker", lambda self: True)
        with pytest.raises(TimeIsUp):
            tune.search(make_plan(), tmp_path, Late(tmp_path))  # type: ignore[arg-type]
    unring(tmp_path)
    assert [asked.number for asked in go(make_plan(), tmp_path).asked] == ["0001", "0002"]
