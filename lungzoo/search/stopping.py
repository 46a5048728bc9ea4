"""When a trial gives up: the time of the search is over, or the trial has fallen behind the others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from lungzoo.errors import LungzooError
from lungzoo.search.outcome import Outcome
from lungzoo.training.checkpoint import Progress

_TIME_UP = "time_up"


class TimeIsUp(LungzooError):
    """The time of the search is over; what was cut off goes on when there is more."""


_FEWEST_TRIALS = 4
_FEWEST_EPOCHS = 2


def ring(folder: Path) -> None:
    """Tell all workers of a search that its time is over."""
    (folder / _TIME_UP).touch()


def unring(folder: Path) -> None:
    """Take that back."""
    (folder / _TIME_UP).unlink(missing_ok=True)


def time_is_up(folder: Path) -> bool:
    """Tell whether the time of a search is over."""
    return (folder / _TIME_UP).exists()


def behind_median(progress: Progress, others: Iterable[Outcome], epochs: int) -> str:
    """Return why a trial is hopeless, "" while it is not.

    The median stopping rule: a trial gives up when its best validation Dice so far is below the median of what the
    finished trials had reached by the same epoch. It waits for a quarter of the epochs, and for four finished trials.

    Args:
        progress: of the trial.
        others: trials before it.
        epochs: that a whole trial trains.

    Source: Golovin et al. 2017, Google Vizier, doi:10.1145/3097983.3098043, section 3.2.2, with the best so far in the
        place of the running average.
    """
    if progress.epoch < max(_FEWEST_EPOCHS, epochs / 4):
        return ""
    reached = [
        max(other.curve[: progress.epoch])
        for other in others
        if other.state == "finished" and len(other.curve) >= progress.epoch
    ]
    if len(reached) < _FEWEST_TRIALS or progress.best_val_dice >= median(reached):
        return ""
    return (
        f"validation Dice {progress.best_val_dice:.3f} after {progress.epoch} epochs, below the median "
        f"{median(reached):.3f} of {len(reached)} trials."
    )
