"""The one exception tree, and the words it uses.

Every message says what happened, what was received, what is allowed and what to do next. The command line
prints the message alone and leaves with `exit_code`: 2 for input that a person can correct, 1 for a failure.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import Any


class LungzooError(Exception):
    """Base of everything that lungzoo raises on purpose."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which fails where __init__ takes more than the message.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class UsageError(LungzooError):
    """The input was wrong: a name, a key, a value, a file."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry entry has."""

    def __init__(self, kind: str, name: str, known: Iterable[str], see: str = "") -> None:
        known = sorted(known)
        message = f"Unknown {kind} '{name}'.{did_you_mean(name, known)}"
        if see:
            message += f" See: {see}"
        elif known:
            message += f" Allowed: {', '.join(known)}."
        super().__init__(message)


class ConfigError(UsageError):
    """A configuration or suite that does not fit its schema, its dataset or its model."""


class WeightsMismatch(UsageError):
    """Weights that do not fit the model they are meant for."""


class DatasetError(UsageError):
    """A dataset folder or source that cannot be used as it is."""


class ImportRefused(DatasetError):
    """A source has faults; every faulty file is listed and nothing was written."""

    shown = 10

    def __init__(self, source: str, faults: list[str]) -> None:
        self.faults = list(faults)
        lines = [f"  {fault}" for fault in faults[: self.shown]]
        if len(faults) > self.shown:
            lines.append(f"  … and {len(faults) - self.shown} more; --faults FILE writes the whole list.")
        self.listing = "\n".join(lines)
        super().__init__(f"{source}: {len(faults)} faulty file(s); nothing was imported.\n{self.listing}")


class WeightsUnavailable(LungzooError):
    """Pretrained weights cannot be had here; an arm that needs them is skipped, never trained without."""


class DivergedError(LungzooError):
    """Training went wrong for good: the loss is no number any more."""


class StorageError(LungzooError):
    """A folder cannot be written: permissions, a full disk, a path that is taken."""


class BusyError(LungzooError):
    """Another lungzoo process is using the same folder."""


class ExportError(LungzooError):
    """A model does not become a file of another kind, or the file answers differently; nothing is left of it."""


class TrackingError(LungzooError):
    """The tracking store cannot be reached or read."""


def _rebuild(kind: type[LungzooError], args: tuple[Any, ...], state: dict[str, Any]) -> LungzooError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[matches[0]]}'?" if matches else ""


def storage_error(action: str, error: OSError) -> StorageError:
    """Turn an OSError into a StorageError that names the place and the way out."""
    place = f" {error.filename}" if error.filename else ""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = {
        13: "Choose a folder that you may write to.",
        28: "Free some space, or choose another disk.",
        30: "Choose a folder that is not mounted read-only.",
    }.get(error.errno or 0, "Choose another folder.")
    return StorageError(f"Cannot {action}{place}: {reason}. {hint}")


def missing_extra(package: str, extra: str, what: str) -> UsageError:
    """Return the error for an optional package that is not installed: what needs it, and how to get it."""
    return UsageError(f"{what} need the package {package}, which is not installed: pip install 'lungzoo[{extra}]'")
