"""Weighted sums of losses, and the check of their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lungzoo.config import LossTerm
from lungzoo.errors import ConfigError, did_you_mean
from lungzoo.losses import LOSSES, Loss
from lungzoo.schema import Option


def loss_options(loss: Loss) -> dict[str, inspect.Parameter]:
    """Return the options that a loss declares: its keyword-only parameters, annotated with their ranges."""
    parameters = inspect.signature(loss, eval_str=True).parameters
    return {name: entry for name, entry in parameters.items() if entry.kind is inspect.Parameter.KEYWORD_ONLY}


def check_terms(terms: tuple[LossTerm, ...]) -> None:
    """Raise for a term that cannot be trained with; loads no Keras.

    Raises:
        UnknownNameError: no such loss.
        ConfigError: no terms, or an option that is unknown, of the wrong type or out of range.
    """
    if not terms:
        raise ConfigError("A loss needs at least one term. Received: none. See: lungzoo list losses")
    for term in terms:
        options = loss_options(LOSSES.get(term.name))
        for key, value in term.options:
            if key not in options:
                allowed = ", ".join(options) or "none"
                raise ConfigError(
                    f"Loss '{term.name}' has no option '{key}'.{did_you_mean(key, options)} Allowed: {allowed}."
                )
            _check_value(term.name, options[key], value)


def _check_value(loss: str, option: inspect.Parameter, value: Option) -> None:
    declared = type(option.default) if option.annotation is option.empty else option.annotation
    try:
        TypeAdapter(declared, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]["msg"].replace("Input should", "must")
        raise ConfigError(f"Option '{option.name}' of loss '{loss}' {fault}. Received: {value!r}") from None


def make_loss(terms: tuple[LossTerm, ...]) -> Callable[[Any, Any], Any]:
    """Return the weighted sum of the terms, a function (y_true, y_pred) -> scalar tensor.

    Its `__name__` says what it is, such as "dice + 0.5 focal(gamma=3.0)".

    Raises:
        UnknownNameError, ConfigError: as `check_terms`.
    """
    check_terms(terms)
    parts = [(term.weight, LOSSES.get(term.name), dict(term.options)) for term in terms]

    def loss(y_true: Any, y_pred: Any) -> Any:
        return sum(weight * entry(y_true, y_pred, **options) for weight, entry, options in parts)

    loss.__name__ = loss.__qualname__ = " + ".join(_title(term) for term in terms)
    return loss


def _title(term: LossTerm) -> str:
    options = ", ".join(f"{key}={value}" for key, value in term.options)
    name = f"{term.name}({options})" if options else term.name
    return name if term.weight == 1 else f"{term.weight:g} {name}"
