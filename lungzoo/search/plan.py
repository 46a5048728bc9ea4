"""What a search is asked to do: kept beside its results, so that the same command goes on with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lungzoo.atomic import write_atomic
from lungzoo.config import ExperimentConfig, SpaceConfig, experiment_of
from lungzoo.errors import ConfigError, UsageError
from lungzoo.schema import Frozen, parse
from lungzoo.search.space import count_combinations, values_of

TUNERS = {
    "random": "Random search",
    "grid": "Grid search",
    "bayesian": "Bayesian optimisation with a Gaussian process",
    "hyperband": "Hyperband; Li et al. 2018, arXiv:1603.06560",
}
_BUDGET = ("trials", "total_epochs", "hours")
_USUAL_TRIALS = 20
_FILE = "search.json"


class SearchPlan(Frozen):
    """A search: a space, the experiment that it varies, an algorithm and a budget."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Names the folder, the tracking experiment and what `lungzoo tune apply` writes."""
    space: SpaceConfig
    """What varies."""
    base: dict[str, Any]
    """The settings that were given for the experiment, nested."""
    tuner: Literal["random", "grid", "bayesian", "hyperband"]
    """The algorithm, Keras Tuner's."""
    trials: int | None = Field(None, ge=1)
    """No trial is started after this many; random and Bayesian search have 20 where no budget is given."""
    total_epochs: int | None = Field(None, ge=1)
    """No trial is started once all have trained this many epochs together."""
    hours: float | None = Field(None, gt=0)
    """Once the search has taken this long, trials end with their epoch in hand."""
    repeats: int = Field(1, ge=1)
    """Seeds of each trial, whose mean counts."""
    prune: bool = False
    """End trials that fall behind the median of those before them."""
    factor: int = Field(3, ge=2)
    """Hyperband keeps one in this many trials and gives it this many times the epochs."""
    search_seed: int = Field(0, ge=0, lt=2**30)
    """Which settings are tried."""
    dataset: str
    """Fingerprint of the dataset."""

    @property
    def digest(self) -> str:
        """Identity of all but the budget, 64 hex digits: a search may be given more of it later."""
        values = self.model_dump(mode="json", exclude=set(_BUDGET))
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def experiment(self) -> ExperimentConfig:
        """The experiment before anything is varied."""
        return self.config({})

    @property
    def sweeps(self) -> float:
        """How often Hyperband starts over: once, or as often as an explicit budget lets it."""
        return math.inf if any(getattr(self, key) for key in _BUDGET) else 1

    @property
    def most_trials(self) -> int | None:
        """After how many no trial is started; None for no limit."""
        endless = self.tuner in ("random", "bayesian") and not any(getattr(self, key) for key in _BUDGET)
        return _USUAL_TRIALS if endless else self.trials

    @property
    def may_go_on(self) -> bool:
        """Whether a larger budget could need the checkpoints of this one: of Hyperband's trials, or one cut by time."""
        limited = any(getattr(self, key) for key in _BUDGET)
        return self.hours is not None or (limited and self.tuner == "hyperband")

    def config(self, values: dict[str, Any], repeat: int = 0) -> ExperimentConfig:
        """Return the experiment of a trial; each repeat has the next seed."""
        config = experiment_of(self.base, values, f"Search '{self.name}'")
        seed = config.train.train_seed + repeat
        return config.model_copy(update={"train": config.train.model_copy(update={"train_seed": seed})})

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: saying what is asked for and what there is.
        """
        if self.tuner == "grid":
            for key, parameter in self.space.parameters.items():
                if values_of(parameter) is None:
                    raise ConfigError(f"Grid search needs a finite number of values. Give '{key}' a step, or choices.")
        if self.tuner == "hyperband" and self.prune:
            raise ConfigError("Hyperband ends hopeless trials by itself. Leave out --prune, or take another --tuner.")
        if count_combinations(self.space) < 2:
            raise ConfigError(f"Search space '{self.space.name}' has one combination; there is nothing to search.")

    def save(self, folder: Path) -> None:
        """Write the plan into the folder of the search."""
        write_atomic(folder / _FILE, self.model_dump_json(indent=1) + "\n")

    def refuse_another(self, folder: Path) -> None:
        """Raise UsageError if the folder holds another search under the same name."""
        there = find_plan(folder)
        if there is None or there.digest == self.digest:
            return
        mine, theirs = self.model_dump(mode="json"), there.model_dump(mode="json")
        changed = [key for key in mine if key not in _BUDGET and mine[key] != theirs[key]]
        told = "; ".join(text for key in changed for text in _differences(key, mine[key], theirs[key]))
        raise UsageError(
            f"There is a search '{self.name}' with another {' and another '.join(changed)} in {folder}. {told}. "
            "Give this one a --name of its own, or start that one over with --fresh."
        )


def _differences(key: str, mine: Any, theirs: Any) -> Iterator[str]:
    """Yield which settings differ, and how."""
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        yield f"{key} here: {mine!r}, there: {theirs!r}"
        return
    for part in sorted(mine | theirs):
        if mine.get(part) != theirs.get(part):
            yield from _differences(f"{key}.{part}", mine.get(part, "not given"), theirs.get(part, "not given"))


def find_plan(folder: Path) -> SearchPlan | None:
    """Return the plan of the search in a folder, if there is one."""
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    try:
        return parse(SearchPlan, json.loads(text), str(folder / _FILE))
    except ValueError:
        raise ConfigError(f"{folder / _FILE} is damaged. Start the search over with --fresh.") from None


def hyperband_rungs(epochs: int, factor: int, combinations: float = math.inf) -> list[tuple[int, int]]:
    """Return (trials, epochs each of them trains to) of every round of the first Hyperband sweep.

    As Keras Tuner runs it, as long as there are new settings.

    Args:
        epochs: of the longest trials.
        factor: one in this many trials goes on.
        combinations: how many settings there are.
    """
    brackets = math.floor(math.log(epochs) / math.log(factor) + 1e-12) + 1
    rungs = []
    for bracket in reversed(range(brackets)):
        last = math.ceil(1 + math.log(epochs, factor)) / (bracket + 1)
        sizes = [math.ceil(last * factor ** (bracket - number)) for number in range(bracket + 1)]
        begun = min(sizes[0], combinations)
        combinations -= begun
        for number, size in enumerate(sizes if begun else ()):
            rungs.append((promoted(size, begun, factor, number), math.ceil(epochs / factor ** (bracket - number))))
    return rungs


def promoted(whole: int, begun: float, factor: int, number: int) -> int:
    """Return how many trials a Hyperband round has if fewer were begun than its bracket asks for.

    Args:
        whole: how many it has otherwise.
        begun: trials in the first round.
        factor: one in this many goes on.
        number: of the round, 0 for the first.
    """
    return min(whole, math.ceil(begun / factor**number))
