"""A search space against an experiment: which settings vary, whether they fit, and how many combinations there are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lungzoo.checks import check_settings
from lungzoo.config import ExperimentConfig, Parameter, SpaceConfig, experiment_of
from lungzoo.content import find_content
from lungzoo.errors import ConfigError, UsageError, did_you_mean
from lungzoo.schema import known_keys, parse, read_toml
from lungzoo.tracking.tracker import Tracker

# Of `data`, only what a network sees; the rest decides which cases there are and what counts as lesion.
_DATA = ("window_hu", "windows", "normalise", "preprocess", "spacing_mm", "size_px")
_MOST_TRIED = 100
_OF_START = ("model", "transfer")
"""Sections that decide whether the weights that training starts from fit."""
_FIXED = {
    "train.train_seed": "trials have it from --seed and --repeats",
    "train.epochs": "it is the longest that a trial trains, --epochs",
    "train.deterministic": "a process cannot change it once it has computed",
    "label": "it names the arms of suites",
}


def load_space(name: str) -> SpaceConfig:
    """Read a shipped search space by name, or any by path.

    Raises:
        UnknownNameError, UsageError, ConfigError: no such space, or one that does not fit the schema.
    """
    path = find_content("spaces", name)
    space = parse(SpaceConfig, read_toml(path), f"Search space {path.name}")
    _check_keys(space)
    return space


def check_space(space: SpaceConfig, base: dict[str, Any], tracker: Tracker | None = None) -> None:
    """Refuse a space of which some value cannot run, each tried alone on top of the base.

    Of a range without a step the ends are tried, of one with very many values an even choice.

    Args:
        space: what varies.
        base: the settings that were given for the experiment, nested.
        tracker: where the weights of "run:…" are; without it they are not looked at.

    Raises:
        UsageError: naming the parameter, what is wrong with its value, and what there is.
    """
    check_settings(experiment_of(base, {}, "The experiment"), tracker)
    for key, parameter in space.parameters.items():
        looks = key.partition(".")[0] in _OF_START  # the store is asked for each value
        for value in _tried(parameter):
            where = f"Search space '{space.name}', parameter '{key}' = {value!r}"
            config = experiment_of(base, {**_parents(space, key), key: value}, where)
            try:
                check_settings(config if looks else _unpinned(config), tracker if looks else None)
            except UsageError as error:
                raise ConfigError(f"{where}: {error}") from error


def _unpinned(config: ExperimentConfig) -> ExperimentConfig:
    """Return a config that names no sha256 of its start, which without a store is not looked at."""
    return config.model_copy(update={"transfer": config.transfer.model_copy(update={"sha256": None})})


def _tried(parameter: Parameter) -> tuple[Any, ...]:
    values = values_of(parameter) or (parameter.low, parameter.high)
    if parameter.choices or len(values) <= _MOST_TRIED:
        return values
    return tuple(values[round(place * (len(values) - 1) / (_MOST_TRIED - 1))] for place in range(_MOST_TRIED))


def _parents(space: SpaceConfig, key: str) -> dict[str, Any]:
    """Return values of the parameters that a parameter depends on, with which it is varied."""
    found: dict[str, Any] = {}
    for parent, allowed in space.parameters[key].when.items():
        found |= {**_parents(space, parent), parent: allowed[0]}
    return found


def _check_keys(space: SpaceConfig) -> None:
    for key, parameter in space.parameters.items():
        section, _, name = key.partition(".")
        _check_exists(space, key)
        if key in _FIXED:
            raise ConfigError(f"Search space '{space.name}': '{key}' cannot be searched: {_FIXED[key]}. Remove it.")
        if section == "classify":
            raise ConfigError(
                f"Search space '{space.name}': '{key}' cannot be searched: trials are judged by validation Dice, and "
                "have no second stage. Remove it."
            )
        if section == "score" or (section == "data" and name not in _DATA):
            raise ConfigError(
                f"Search space '{space.name}': '{key}' cannot be searched: it changes what is scored, so trials would "
                f"not compare. Of data, allowed are: {', '.join(_DATA)}."
            )
        for parent, allowed in parameter.when.items():
            _check_condition(space, key, parent, allowed)
    for key in space.parameters:
        _check_no_circle(space, key)


def _check_exists(space: SpaceConfig, key: str) -> None:
    """Refuse a key that no experiment has; what free options may hold, only the model or recipe knows."""
    parts = key.split(".")
    for depth, part in enumerate(parts):
        known = known_keys(ExperimentConfig, tuple(parts[:depth]))
        if not known:
            return
        if part not in known:
            wrong = ".".join(parts[: depth + 1])
            raise ConfigError(
                f"Search space '{space.name}': unknown key '{wrong}'.{did_you_mean(part, known)} "
                f"Allowed: {', '.join(known)}."
            )


def _check_condition(space: SpaceConfig, key: str, parent: str, allowed: tuple[Any, ...]) -> None:
    where = f"Search space '{space.name}', parameter '{key}'"
    if parent not in space.parameters:
        known = space.parameters
        raise ConfigError(f"{where}: `when` names the unknown parameter '{parent}'.{did_you_mean(parent, known)}")
    choices = space.parameters[parent].choices
    if not choices:
        raise ConfigError(f"{where}: `when` names '{parent}', which is a range. A condition needs a list of choices.")
    if missing := [value for value in allowed if value not in choices]:
        raise ConfigError(f"{where}: `when` asks for {parent} = {missing[0]!r}. Its choices: {list(choices)}.")
    if not allowed:
        raise ConfigError(f"{where}: `when` names no value of '{parent}'. Its choices: {list(choices)}.")


def _check_no_circle(space: SpaceConfig, key: str) -> None:
    seen: set[str] = set()
    above = key
    while above:
        if above in seen:
            raise ConfigError(f"Search space '{space.name}', parameter '{key}': the conditions go round in a circle.")
        seen.add(above)
        above = next(iter(space.parameters[above].when), "")


def values_of(parameter: Parameter) -> tuple[Any, ...] | None:
    """Return all values of a parameter in order; None where there is no end of them."""
    if parameter.choices:
        return parameter.choices
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    step = parameter.step or (1 if parameter.whole and parameter.scale == "linear" else None)
    if step is None:
        return None
    values, value = [], low
    while value <= high + 1e-9 * abs(high):
        values.append(int(value) if parameter.whole else float(value))
        value = value * step if parameter.scale == "log" else low + len(values) * step
    return tuple(values)


def count_combinations(space: SpaceConfig) -> float:
    """Return how many settings a space has; infinite where a range has no step."""
    children: dict[str, list[str]] = {}
    for key, parameter in space.parameters.items():
        for parent in parameter.when:
            children.setdefault(parent, []).append(key)

    def count(key: str) -> float:
        values = values_of(space.parameters[key])
        if values is None:
            return math.inf
        return sum(
            math.prod(count(child) for child in children.get(key, ()) if value in space.parameters[child].when[key])
            for value in values
        )

    return math.prod(count(key) for key, parameter in space.parameters.items() if not parameter.when)


def in_order(space: SpaceConfig) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters, each after the one that it depends on."""
    done: set[str] = set()
    while len(done) < len(space.parameters):
        for key, parameter in space.parameters.items():
            if key not in done and set(parameter.when) <= done:
                done.add(key)
                yield key, parameter
