"""Finds the files that ship with lungzoo beside its code: suites, search spaces, tuned results,
published weights."""

from __future__ import annotations

import os
from pathlib import Path

from lungzoo.errors import UnknownNameError, UsageError

_CHECKOUT = {
    "suites": "benchmarks/suites",
    "spaces": "tuning/spaces",
    "best": "tuning/best",
    "weights": "lungzoo/_content/weights",
}
_SINGULAR = {"suites": "suite", "spaces": "search space", "best": "tuned result", "weights": "published weights"}
_LISTING = {"weights": "lungzoo weights list"}


def content_dir(kind: str) -> Path:
    """Return the folder of one kind of content: inside the installed package, else in the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_content" / kind
    return installed if installed.is_dir() else package.parent / _CHECKOUT[kind]


def content_names(kind: str) -> list[str]:
    """Return the names of the shipped files of one kind, sorted."""
    return sorted(path.stem for path in content_dir(kind).glob("*.toml"))


def find_content(kind: str, name: str) -> Path:
    """Return the TOML file that a name or a path means.

    Raises:
        UnknownNameError: no shipped file has that name.
        UsageError: a path was given and there is no such file.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"No {_SINGULAR[kind]} file at '{name}'. Give a .toml file or a shipped name.")
        return path
    if name not in content_names(kind):
        raise UnknownNameError(_SINGULAR[kind], name, content_names(kind), _LISTING.get(kind, f"lungzoo list {kind}"))
    return content_dir(kind) / f"{name}.toml"


def cache_dir() -> Path:
    """Return the folder for what can be made again: `LUNGZOO_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get("LUNGZOO_CACHE"):
        return Path(chosen)
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lungzoo"
