"""KEY=VALUE on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from lungzoo.errors import UsageError


def read_setting(setting: str) -> tuple[str, Any]:
    """Return ("augment.shift_px", 24) for "augment.shift_px=24"; the value is read as TOML, or else as text."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"--set needs KEY=VALUE, such as --set augment.shift_px=24. Received: '{setting}'")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key, text


def experiment_settings(
    model: str, transfer: str, train: dict[str, Any], settings: Iterable[str]
) -> dict[str, Any]:  # fmt: skip
    """Return the settings of an experiment as they were given on the command line, nested.

    Args:
        model: name of the model.
        transfer: in short form.
        train: keys of `train`.
        settings: any further ones as KEY=VALUE; they win.

    Raises:
        UsageError: a setting without a key, or whose key leads through a plain value.
    """
    from lungzoo.config import changed

    base = {"model": {"name": model}, "transfer": transfer, "train": train}
    return changed(base, dict(read_setting(setting) for setting in settings))
