"""An experiment with some settings changed, by dotted key."""

from __future__ import annotations

import copy
from typing import Any

from lungzoo.config.experiment import ExperimentConfig
from lungzoo.config.model import TransferConfig
from lungzoo.errors import ConfigError
from lungzoo.schema import parse


def experiment_of(base: dict[str, Any], values: dict[str, Any], where: str) -> ExperimentConfig:
    """Return an experiment with some settings changed.

    Args:
        base: the settings that were given, nested; what is left out has its default, or its preset's value.
        values: changed settings by dotted key, such as "train.learning_rate".
        where: what they come from, for messages.

    Raises:
        ConfigError: a key does not exist, or a value does not fit.
    """
    return parse(ExperimentConfig, changed(base, values), where)


def changed(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed; raises ConfigError where a key leads through a plain value."""
    nested = copy.deepcopy(base)
    for key in sorted(values, key=lambda key: key.count(".")):  # a whole section before its parts
        _put(nested, key.split("."), copy.deepcopy(values[key]))
    return nested


def _put(nested: dict[str, Any], path: list[str], value: Any) -> None:
    for depth, part in enumerate(path[:-1]):
        inner = nested.setdefault(part, {})
        if isinstance(inner, str) and path[: depth + 1] == ["transfer"]:
            inner = nested[part] = TransferConfig.model_validate(inner).model_dump(exclude_defaults=True)
        if not isinstance(inner, dict):
            raise ConfigError(f"'{'.'.join(path)}': '{part}' has no keys of its own. Received for it: {inner!r}")
        nested = inner
    nested[path[-1]] = value
