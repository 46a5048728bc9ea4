"""Weights by name: published, of a recorded run, or from a path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lungzoo.inference.ensemble import labels_of
from lungzoo.inference.predictor import Predictor, open_predictor

_RUN = "run:"
TUNED = "tuned.json"
"""In a folder that `lungzoo tune postprocess` made: what was tried and chosen."""
MEMBER = "member-"
"""What the folders of an ensemble's members there begin with."""


@contextmanager
def open_members(names: Sequence[str]) -> Iterator[list[Predictor]]:
    """Load models by what their weights are called; a run's are kept in a scratch folder meanwhile.

    Args:
        names: published names, "run:ID", paths of weights with a manifest, or of an ensemble that was tuned.

    Raises:
        UsageError: no such weights, or of a kind that is not opened; models that do not go together.
        ConfigError: a manifest is malformed.
        WeightsUnavailable, WeightsMismatch: see `models.load`.
        TrackingError: the store of a run does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lungzoo-") as scratch:
        single = [one for name in names for one in _unfolded(name)]
        sources = [_fetched(name, Path(scratch) / str(place)) for place, name in enumerate(single)]
        members = [open_predictor(source) for source in sources]
        labels_of(members)
        yield members


def _unfolded(name: str) -> list[str]:
    """Return the members of an ensemble that `lungzoo tune postprocess` wrote, in its order; else the name itself."""
    folder = Path(name)
    if name.startswith(_RUN) or not os.path.isfile(folder / TUNED):  # pathlib raises where it is too long
        return [name]
    members = sorted(folder.glob(f"{MEMBER}*"), key=lambda path: (len(path.name), path.name))
    return [str(path) for path in members] or [name]


def _fetched(name: str, folder: Path) -> str | Path:
    if not name.startswith(_RUN):
        return name
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker("train")
    folder.mkdir()
    return tracker.weights(tracker.find_run(name.removeprefix(_RUN)), folder)
