"""What runs leave beside their per-case results: learning curves, counts of probabilities, overlays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from pathlib import Path

from lungzoo.errors import LungzooError
from lungzoo.evaluation.curves import Curves
from lungzoo.suites.report.results import ArmResults
from lungzoo.tracking.tracker import Tracker


@dataclass(frozen=True)
class Evidence:
    """Of one arm; what a run did not leave, or what cannot be read, is absent. Read when it is first asked for.

    Args:
        history_files, curve_files: of the finished runs.
        overlays: picture of best, median and worst cases of the first run that has one.
        overlays_of: title and seed of that run.
    """

    history_files: tuple[Path, ...]
    curve_files: tuple[Path, ...]
    overlays: Path | None
    overlays_of: str

    @cached_property
    def histories(self) -> tuple[tuple[dict[str, float], ...], ...]:
        """Metrics per epoch of each run."""
        return tuple(rows for path in self.history_files if (rows := _history(path)))

    @cached_property
    def curves(self) -> Curves | None:
        """Counts of all runs together; None where there are none."""
        counted = [each for path in self.curve_files if (each := _curves(path)) is not None]
        return reduce(add, counted) if counted else None


def load_evidence(arm: ArmResults, tracker: Tracker) -> Evidence:
    """Find what the finished runs of an arm left."""
    keys = [record.fingerprint for record in arm.finished]
    histories, curves = (tuple(tracker.artifacts(keys, name).values()) for name in ("history.json", "curves.json"))
    pictures = tracker.artifacts(keys, "overlays.png")
    shown = next((record for record in arm.finished if record.fingerprint in pictures), None)
    return Evidence(
        histories,
        curves,
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
