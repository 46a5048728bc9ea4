"""The search on Keras Tuner: its algorithms propose, its chief serves many workers. Only this file imports it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner import errors
from keras_tuner.engine import base_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle, HyperbandOracle, RandomSearchOracle

from lungzoo.atomic import write_atomic
from lungzoo.config import Parameter, SpaceConfig
from lungzoo.search.outcome import Outcomes
from lungzoo.search.plan import SearchPlan, promoted
from lungzoo.search.space import in_order, values_of
from lungzoo.search.stopping import TimeIsUp, time_is_up
from lungzoo.search.trial import Asked
from lungzoo.search.worker import CHIEF

if TYPE_CHECKING:
    from lungzoo.search.trial import Trials

_STATE = "oracle.json"
_IDLE_S = 0.5
# What Hyperband is told of a trial that broke: worse than any other, so that the others of its round are promoted.
_BROKEN = -1.0


def search(plan: SearchPlan, folder: Path, carry_out: Trials | None) -> None:
    """Search until the algorithm or the budget has nothing more, or go on where an earlier attempt was.

    Whether this process is alone, the chief or a worker of a chief elsewhere is said by Keras Tuner's own variables:
    KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT.

    Args:
        plan: the search.
        folder: its folder, shared by all its processes.
        carry_out: carries out trials; None in the chief.

    Raises:
        Exception: what kept a trial from being recorded; of a trial that breaks there is a record.
        TimeIsUp: the time of the search is over; there is something to go on with.
    """
    oracle = make_oracle(plan, folder)
    tuner = _Tuner(oracle, plan, folder, carry_out)
    try:
        tuner.search(verbose=0)
    except errors.FatalError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def hyperparameters_of(space: SpaceConfig) -> keras_tuner.HyperParameters:
    """Return a space as Keras Tuner has it; its names are config keys."""
    hp = keras_tuner.HyperParameters()
    for key, parameter in in_order(space):
        with contextlib.ExitStack() as conditions:
            _enter(conditions, hp, space, key)
            _declare(hp, key, parameter)
    return hp


def _enter(conditions: contextlib.ExitStack, hp: Any, space: SpaceConfig, key: str) -> None:
    for parent, allowed in space.parameters[key].when.items():
        _enter(conditions, hp, space, parent)
        choices = space.parameters[parent].choices
        conditions.enter_context(hp.conditional_scope(parent, [_packed(value, choices) for value in allowed]))


def _declare(hp: Any, key: str, parameter: Parameter) -> None:
    values = parameter.choices or (values_of(parameter) if parameter.step else None)  # its own steps leave out the end
    if values:
        numbers = all(_is_number(value) for value in values)
        hp.Choice(key, [_packed(value, values) for value in values], ordered=numbers)
        return
    kind = hp.Int if parameter.whole else hp.Float
    kind(key, parameter.low, parameter.high, sampling=parameter.scale)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _packed(value: Any, choices: tuple[Any, ...]) -> Any:
    """Return a choice as Keras Tuner takes it: numbers as they are, all else as JSON."""
    if not all(_is_number(choice) for choice in choices):
        return json.dumps(value)
    return value if all(isinstance(choice, int) for choice in choices) else float(value)


def unpacked(space: SpaceConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that Keras Tuner chose, by config key, without those whose `when` does not hold.

    On their way to a worker, Keras Tuner gives some of the latter a value.
    """
    found: dict[str, Any] = {}
    for key, parameter in in_order(space):
        holds = all(parent in found and found[parent] in allowed for parent, allowed in parameter.when.items())
        if holds and key in values:
            packed = {_packed(choice, parameter.choices): choice for choice in parameter.choices}
            value = packed.get(values[key], values[key])
            if parameter.low is not None and parameter.high is not None:
                value = min(max(value, parameter.low), parameter.high)  # its Gaussian process may go one beyond
            found[key] = value
    return found


def make_oracle(plan: SearchPlan, folder: Path) -> keras_tuner.Oracle:
    """Return the algorithm of a plan, with what it knew when it was saved last."""
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective("val_dice", "max"),
        "hyperparameters": hyperparameters_of(plan.space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": plan.search_seed + 1,  # Keras Tuner takes 0 for none
        "max_consecutive_failed_trials": 2**31,  # the crew counts, which knows of those that killed their process
    }
    if plan.tuner == "hyperband":
        epochs, sweeps = plan.experiment.train.epochs, plan.sweeps
        common |= {"max_epochs": epochs, "factor": plan.factor, "hyperband_iterations": sweeps}
    oracle = _ORACLES[plan.tuner](**common)
    oracle.max_trials = None  # the budget below counts; numbers of trials would change their width with it
    oracle.plan, oracle.outcomes, oracle.folder = plan, Outcomes(folder), folder
    oracle._set_project_dir(str(folder.parent), folder.name)
    if (folder / _STATE).exists() and not _serves_a_chief():
        oracle.reload()
    return oracle


def _serves_a_chief() -> bool:
    """Whether the state is kept by a chief elsewhere, and may change at any moment."""
    return os.environ.get("KERASTUNER_TUNER_ID", CHIEF) != CHIEF


class _Kept:
    """What all algorithms get: a state that survives a kill at any moment, and the budget of the search."""

    plan: SearchPlan
    outcomes: Outcomes
    folder: Path

    def save(self) -> None:
        """Replace the state in one step; Keras Tuner writes into the file."""
        write_atomic(Path(self._get_oracle_fname()), json.dumps(self.get_state()))  # type: ignore[attr-defined]

    def _save_trial(self, trial: Trial) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"  # type: ignore[attr-defined]
        write_atomic(path, json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Read the state; a trial that was written just before a kill, and is not in it, is asked for anew."""
        super().reload()  # type: ignore[misc]
        started = set(self.start_order)  # type: ignore[attr-defined]
        self.trials: dict[str, Trial] = {number: trial for number, trial in self.trials.items() if number in started}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Propose settings, as long as the budget lasts."""
        if self._is_spent():
            return {"status": TrialStatus.STOPPED}
        return dict(super().populate_space(trial_id))  # type: ignore[misc]

    def _is_spent(self) -> bool:
        plan, most = self.plan, self.plan.most_trials
        if time_is_up(self.folder) or (most is not None and len(self.trials) >= most):
            return True
        return plan.total_epochs is not None and sum(o.epochs for o in self.outcomes.all()) >= plan.total_epochs


class _Random(_Kept, RandomSearchOracle):
    pass


class _Grid(_Kept, GridSearchOracle):
    """Keras Tuner forgets where on the grid it was; here that is part of the state."""

    def get_state(self) -> dict[str, Any]:
        """Add the trials in the order of the grid, and those whose neighbour is still to come."""
        known = self._ordered_ids
        ordered, index = [], known._next_index[None]
        while index is not None:
            ordered.append(known._memory[index])
            index = known._next_index[index]
        return {**super().get_state(), "ordered": ordered, "populate_next": self._populate_next}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take both up again."""
        super().set_state(state)
        before = None
        for number in state["ordered"]:
            self._ordered_ids.insert(number, before)
            before = number
        self._populate_next = state["populate_next"]


class _Bayesian(_Kept, BayesianOptimizationOracle):
    pass


class _Hyperband(_Kept, HyperbandOracle):
    """Keras Tuner ends where new settings run out; here the trials that were begun go on through their rounds."""

    _begun: int | None = None  # in the last bracket, once there are no new settings

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Propose a trial; one that was promoted is of its origin's bracket, not of the one that was begun last."""
        proposed = super().populate_space(trial_id)
        values = proposed.get("values") or {}
        if "tuner/trial_id" in values:
            origin = self.trials[values["tuner/trial_id"]].hyperparameters.values
            values["tuner/bracket"] = origin["tuner/bracket"]
        return proposed

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        """Propose new settings; where there are none, this is the last bracket, with the trials that it has."""
        proposed = dict(super()._random_trial(trial_id, bracket))
        if proposed["status"] == TrialStatus.RUNNING:
            proposed["values"]["tuner/bracket"] = bracket["bracket_num"]
            return proposed
        if len(self._brackets) > 1 and self.ongoing_trials:
            return {"status": TrialStatus.IDLE}  # the brackets before are ended first
        self._begun = len(bracket["rounds"][0])
        self._current_bracket, self.hyperband_iterations = 0, self._current_iteration + 1
        return self.populate_space(trial_id)

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        whole = int(super()._get_size(bracket_num, round_num))
        return whole if self._begun is None else promoted(whole, self._begun, self.factor, round_num)

    def get_state(self) -> dict[str, Any]:
        """Add how many trials the last bracket has begun, once there are no new settings."""
        return {**super().get_state(), "begun": self._begun}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take it up again; the budget may be another one now, and a sweep that was begun is always ended."""
        super().set_state(state)
        self._begun = state.get("begun")
        sweeps = self.plan.sweeps if self._begun is None else 0
        self.hyperband_iterations = max(sweeps, self._current_iteration + 1)


_ORACLES: dict[str, Any] = {"random": _Random, "grid": _Grid, "bayesian": _Bayesian, "hyperband": _Hyperband}


class _Tuner(base_tuner.BaseTuner):
    """Keras Tuner's loop around trials of ours."""

    def __init__(self, oracle: Any, plan: SearchPlan, folder: Path, carry_out: Trials | None) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)
        self._plan, self._folder, self._carry_out = plan, folder, carry_out
        self._asked_before = False

    def pre_create_trial(self) -> None:
        """Wait a little where the chief had nothing to do; Keras Tuner would ask again at once."""
        if self._asked_before:
            time.sleep(_IDLE_S)
        self._asked_before = True

    def on_trial_begin(self, trial: Trial) -> None:
        """Note that there was something to do."""
        self._asked_before = False

    def run_trial(self, trial: Trial, verbose: int = 0) -> dict[str, float]:
        """Carry out a trial; one without a score is a failed one, and the search goes on."""
        assert self._carry_out is not None
        try:
            outcome = self._carry_out.carry_out(asked_for(self._plan, trial.trial_id, trial.hyperparameters.values))
            if self._is_worker() and time_is_up(self._folder):
                raise TimeIsUp("The chief may have left; it hands out the trial again, and its outcome is there.")
        except Exception as error:  # Keras Tuner would drop the trial and go on
            raise errors.FatalError(str(error)) from error
        if outcome.val_dice is not None:
            return {"val_dice": outcome.val_dice}
        if self._plan.tuner == "hyperband":
            return {"val_dice": _BROKEN}
        raise errors.FailedTrialError(outcome.reason)

    def save(self) -> None:
        """Save the algorithm alone; this class has no state."""
        if not self._is_worker():
            self.oracle.save()


def asked_for(plan: SearchPlan, number: str, values: dict[str, Any]) -> Asked:
    """Return a trial of Keras Tuner as one of ours; Hyperband puts its own settings among the values."""
    return Asked(
        number=number,
        values=unpacked(plan.space, values),
        until=int(values.get("tuner/epochs", plan.experiment.train.epochs)),
        continues=values.get("tuner/trial_id"),
        bracket=values.get("tuner/bracket"),
        round=values.get("tuner/round"),
    )
