"""Writes plain values as TOML; the standard library only reads it."""

from __future__ import annotations

import json
import re
from typing import Any

_PER_LINE = 8


def toml_text(values: dict[str, Any]) -> str:
    """Return values as TOML: plain keys first, then tables. Keys whose value is None are left out."""
    return "\n".join(_table(values, ())) + "\n"


def _table(values: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in values.items() if value is not None and not isinstance(value, dict)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in values.items():
        if isinstance(value, dict):
            place = (*path, key)
            lines += ["", f"[{'.'.join(map(_key, place))}]", *_table(value, place)]
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, (list, tuple)):
        items = [_value(item) for item in value]
        if len(items) <= _PER_LINE:
            return f"[{', '.join(items)}]"
        rows = [items[start : start + _PER_LINE] for start in range(0, len(items), _PER_LINE)]
        return "[\n" + "".join(f"    {', '.join(row)},\n" for row in rows) + "]"
    raise TypeError(f"TOML has no place for {type(value).__name__}")
