"""What runs leave beside their per-case results: learning curves, counts of probabilities, overlays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from lungzoo.errors import LungzooError
from lungzoo.evaluation.curves import Curves
from lungzoo.suites.report.results import ArmResults
from lungzoo.tracking.tracker import Tracker


@dataclass(frozen=True)
class Evidence:
    """Of one arm; what a run did not leave, or what cannot be read, is absent.

    Args:
        histories: metrics per epoch of each finished run.
        curves: counts of all its runs together; None where there are none.
        overlays: picture of best, median and worst cases of the first run that has one.
        overlays_of: title and seed of that run.
    """

    histories: tuple[tuple[dict[str, float], ...], ...]
    curves: Curves | None
    overlays: Path | None
    overlays_of: str


def load_evidence(arm: ArmResults, tracker: Tracker) -> Evidence:
    """Read what the finished runs of an arm left."""
    keys = [record.fingerprint for record in arm.finished]
    histories = [_history(path) for path in tracker.artifacts(keys, "history.json").values()]
    curves = [_curves(path) for path in tracker.artifacts(keys, "curves.json").values()]
    counted = [each for each in curves if each is not None]
    pictures = tracker.artifacts(keys, "overlays.png")
    shown = next((record for record in arm.finished if record.fingerprint in pictures), None)
    return Evidence(
        tuple(rows for rows in histories if rows),
        reduce(add, counted) if counted else None,
        pictures[shown.fingerprint] if shown else None,
        f"{shown.title}, seed {shown.seed}" if shown else "",
    )


def _history(path: Path) -> tuple[dict[str, float], ...]:
    try:
        return tuple({str(key): float(value) for key, value in row.items()} for row in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, AttributeError):
        return ()


def _curves(path: Path) -> Curves | None:
    try:
        return Curves.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError, LungzooError):
        return None
