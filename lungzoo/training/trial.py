"""What a search asks of a run: how far to train, when to give up, and to leave the test split shut."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from lungzoo.training.checkpoint import Progress

JUDGED = ("train", "val")
"""The parts of a split that a trial reads."""
OUT_OF_TIME = "the time of the search was over."
"""Why a trial gave up that goes on when its search is given more time."""


def go_on(progress: Progress) -> str:
    """Never give up."""
    return ""


@dataclass(frozen=True)
class Trial:
    """A run of a search: judged by its best validation Dice, with the test split left shut.

    The schedule is that of all `train.epochs`, however few of them the trial trains: a trial that goes on from another
    ends exactly where one that was not interrupted would.

    Args:
        search: name of the search.
        number: of the trial, such as "0003".
        repeat: which of its seeds, from 0.
        until: train up to this many epochs.
        continues: number of the trial whose checkpoint this one goes on from.
        bracket, round: of Hyperband; None elsewhere.
        stop: asked after every epoch; returns why to give up, or "".
    """

    search: str
    number: str
    repeat: int = 0
    until: int = 2**31
    continues: str | None = None
    bracket: int | None = None
    round: int | None = None
    stop: Callable[[Progress], str] = go_on

    def fingerprint(self, experiment: str) -> str:
        """Return the identity of the trial, 64 hex digits; `experiment` is that of its experiment."""
        return _identity(experiment, self.search, self.number)

    def origin(self, experiment: str) -> str | None:
        """Return the identity of the trial that this one continues."""
        return None if self.continues is None else _identity(experiment, self.search, self.continues)

    def describe(self) -> dict[str, str | int]:
        """Return what the record says of the trial."""
        about: dict[str, str | int] = {"search": self.search, "number": self.number, "repeat": self.repeat}
        known = {"until": self.until, "continues": self.continues, "bracket": self.bracket, "round": self.round}
        return about | {key: value for key, value in known.items() if value is not None}


def _identity(experiment: str, search: str, number: str) -> str:
    return hashlib.sha256(f"{experiment}\ntrial {number} of {search}".encode()).hexdigest()
