"""KEY=VALUE on the command line."""

from __future__ import annotations

import tomllib
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


def put_setting(values: dict[str, Any], setting: str) -> None:
    """Put "augment.shift_px=24" into nested values."""
    key, value = read_setting(setting)
    *path, last = key.split(".")
    inner = values
    for part in path:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: '{part}' has no keys of its own.")
    inner[last] = value
