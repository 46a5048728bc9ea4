"""What a run says while it works: small frozen messages that cross process borders as JSON lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args


@dataclass(frozen=True)
class SuiteStarted:
    """A suite begins: its title, the arms of the runs ahead, and how many are finished already."""

    title: str
    ahead: tuple[str, ...]
    finished: int


@dataclass(frozen=True)
class RunStarted:
    """A run begins. `params` counts trainable and frozen parameters."""

    arm: str
    seed: int
    epochs: int
    steps_per_epoch: int
    params: int


@dataclass(frozen=True)
class StepDone:
    """A training step ended; `loss` is the running mean of the epoch."""

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch ended and the validation split was scored."""

    epoch: int
    loss: float
    val_dice: float
    best: bool
    seconds: float


@dataclass(frozen=True)
class RunEnded:
    """A run ended: finished, skipped or failed, with the reason of the last two."""

    arm: str
    seed: int
    status: str
    reason: str
    score: float | None
    seconds: float


@dataclass(frozen=True)
class SearchStarted:
    """A search begins: its title, how many trials are over already, and how many there may be; None for no limit."""

    title: str
    over: int
    most: int | None


@dataclass(frozen=True)
class TrialStarted:
    """A trial of a search begins: its settings on one line, and the epoch that it trains to."""

    number: str
    worker: str
    values: str
    until: int


@dataclass(frozen=True)
class TrialEnded:
    """A trial of a search ended: finished, pruned, failed or diverged, with its best validation Dice."""

    number: str
    worker: str
    state: str
    val_dice: float | None
    epochs: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class Note:
    """A remark worth a line: a warning, a resumed run, a tracking store that does not answer."""

    text: str


Event = SuiteStarted | RunStarted | StepDone | EpochDone | RunEnded | SearchStarted | TrialStarted | TrialEnded | Note
Observer = Callable[[Event], None]
Progress = Callable[[int, int], None]
"""Is told how many parts of a long step are done, and of how many."""
_TYPES: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}


def to_json(event: Event) -> str:
    """Return one line of JSON."""
    return json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)})


def from_json(line: str) -> Event:
    """Read back a line of `to_json`; raises ValueError for anything else."""
    values = json.loads(line)
    kind = values.pop("event", None) if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError(f"not an event: {line[:80]}")
    try:
        # JSON has no tuples; a list would make the event unequal to the one that was sent.
        return _TYPES[kind](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError:
        raise ValueError(f"not a {kind}: {line[:80]}") from None


def ignore(event: Event) -> None:
    """Observer that listens to nothing."""
