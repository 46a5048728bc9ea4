"""Weights by name: published, of a recorded run, or from a path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lungzoo.inference.ensemble import labels_of
from lungzoo.inference.predictor import Predictor, open_predictor

_RUN = "run:"


@contextmanager
def open_members(names: Sequence[str]) -> Iterator[list[Predictor]]:
    """Load models by what their weights are called; a run's are kept in a scratch folder meanwhile.

    Args:
        names: published names, "run:ID", or paths of weights with a manifest.

    Raises:
        UsageError: no such weights, or of a kind that is not opened; models that do not go together.
        ConfigError: a manifest is malformed.
        WeightsUnavailable, WeightsMismatch: see `models.load`.
        TrackingError: the store of a run does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lungzoo-") as scratch:
        sources = [_fetched(name, Path(scratch) / str(place)) for place, name in enumerate(names)]
        members = [open_predictor(source) for source in sources]
        labels_of(members)
        yield members


def _fetched(name: str, folder: Path) -> str | Path:
    if not name.startswith(_RUN):
        return name
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker("train")
    folder.mkdir()
    return tracker.weights(tracker.find_run(name.removeprefix(_RUN)), folder)
