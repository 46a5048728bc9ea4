"""The base of every config model, and plain values in, models or clear errors out."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from lungzoo.errors import ConfigError, did_you_mean

Option = bool | int | float | str


class Frozen(BaseModel):
    """Base of every config model: immutable, no unknown keys, hashable by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    later: ClassVar[tuple[str, ...]] = ()
    """Keys that came after fingerprints were published: with their default they are left out of what is written, so
    that a config which does not use them stays the config that it was."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        for key in self.later:
            if getattr(self, key) == type(self).model_fields[key].default:
                values.pop(key, None)
        return values

    def canonical(self) -> str:
        """Return the one JSON text that stands for this content."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def __hash__(self) -> int:
        return hash(self.canonical())


def _option_pairs(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for name, option in value.items():
        if not isinstance(option, Option):
            raise ValueError(f"option '{name}' must be a boolean, a number or a text. Received: {option!r}")
    return tuple(value.items())


def _sorted_options(pairs: tuple[tuple[str, Option], ...]) -> tuple[tuple[str, Option], ...]:
    return tuple(sorted(dict(pairs).items()))


Options = Annotated[
    tuple[tuple[str, Option], ...],
    BeforeValidator(_option_pairs),
    AfterValidator(_sorted_options),
    PlainSerializer(dict, return_type=dict),
]


ConfigT = TypeVar("ConfigT", bound=Frozen)


def parse(model: type[ConfigT], values: dict[str, Any], where: str) -> ConfigT:
    """Validate plain values.

    Args:
        model: the config class.
        values: as read from TOML, JSON or the command line.
        where: what the values come from, for messages.

    Raises:
        ConfigError: naming every wrong key with the nearest known one, and every wrong value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [dict(problem) for problem in error.errors()]
        problems = [_explain(model, problem) for problem in found if not _is_echo(problem, found)]
        raise ConfigError(f"{where}: " + "\n".join(problems)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises ConfigError with the line where it is malformed."""
    try:
        return parse_toml(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from None


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """Return the values of a TOML file's content; raises ConfigError, with `where` it comes from."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where} is not valid TOML: it is nested too deeply") from None


def _is_echo(problem: dict[str, Any], found: list[dict[str, Any]]) -> bool:
    """True for "too short" of a list whose faulty items pydantic dropped: those are reported themselves."""
    location = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in found
    )


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    location = problem["loc"]
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = known_keys(model, location[:-1])
        return f"Unknown key '{key}'.{did_you_mean(str(location[-1]), known)} Allowed: {', '.join(known)}."
    if problem["type"] == "missing" and isinstance(location[-1], int):
        parent = ".".join(str(part) for part in location[:-1])
        return f"{parent}: too few values. Received: {problem['input']!r}"
    if problem["type"] == "missing":
        return f"Missing key '{key}'. Add it."
    message = problem["msg"].removeprefix("Value error, ")
    received = "" if "Received" in message or not key else f" Received: {problem['input']!r}"
    return f"{key}: {message}.{received}" if key else f"{message}.{received}"


def known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the keys at a location, walking down the annotations to the model that it means; [] of free options."""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        if part not in current.model_fields:  # the name of an entry of a table, whose model is at hand already
            continue
        current = _inner_model(current.model_fields[part].annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found:
            return found
    return None
