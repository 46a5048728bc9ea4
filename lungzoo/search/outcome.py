"""What became of each trial: one small file each, which the algorithm, the stopping rule and the report read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lungzoo.atomic import write_atomic
from lungzoo.errors import storage_error

State = Literal["finished", "pruned", "failed", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """One trial that is over.

    Args:
        number: of the trial, such as "0003".
        state: pruned trials gave up, diverged ones lost their loss, failed ones broke.
        values: the settings tried, by config key.
        val_dice: best validation Dice, mean of the repeats; None where there is none.
        epochs: trained by this trial itself, all repeats together.
        until: epochs that its network has seen, those of the trial that it goes on from included.
        train_seconds: of training by this trial itself.
        seconds: that its runs took in all, in the attempt that ended it: building, training and recording.
        reason: why it did not finish.
        curve: validation Dice after each epoch, of the first repeat.
        continues: number of the trial that it goes on from.
        bracket, round: of Hyperband.
        runs: ids of its runs in the tracking store.
    """

    number: str
    state: State
    values: dict[str, Any]
    val_dice: float | None = None
    epochs: int = 0
    until: int = 0
    train_seconds: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    curve: tuple[float, ...] = ()
    continues: str | None = None
    bracket: int | None = None
    round: int | None = None
    runs: tuple[str, ...] = field(default=())


class Outcomes:
    """The outcomes of a search.

    Args:
        folder: of the search; shared by all its workers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "outcomes"
        self._known: dict[str, Outcome] = {}

    def write(self, outcome: Outcome) -> None:
        """Keep an outcome; whoever reads sees all of it or nothing."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / f"{outcome.number}.json", json.dumps(dataclasses.asdict(outcome), indent=1))
        except OSError as error:
            raise storage_error("write to", error) from error

    def find(self, number: str) -> Outcome | None:
        """Return the outcome of a trial, None while there is none."""
        if number not in self._known:
            try:
                values = json.loads((self._folder / f"{number}.json").read_text(encoding="utf-8"))
            except OSError:
                return None
            lists = {key: tuple(values[key]) for key in ("curve", "runs")}
            self._known[number] = Outcome(**{**values, **lists})
        return self._known[number]

    def all(self) -> list[Outcome]:
        """Return the outcomes so far, in the order of their numbers."""
        found = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [outcome for outcome in found if outcome is not None]
