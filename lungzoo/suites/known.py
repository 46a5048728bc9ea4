"""What is known of trained weights by what they are called, without fetching them: published ones, or a run's."""

from __future__ import annotations

from collections.abc import Callable

from lungzoo.models.load import find_manifest
from lungzoo.tracking.tracker import Tracker
from lungzoo.weights.manifest import WeightsManifest

_RUN = "run:"


def manifest_of(name: str, open_tracker: Callable[[], Tracker]) -> WeightsManifest:
    """Return the manifest of weights.

    Args:
        name: "run:ID", where the beginning of an id is enough; or a published name or a path, see `models.load.load`.
        open_tracker: gives the store of runs; asked for "run:…" alone.

    Raises:
        UsageError: no such run or weights, or a run without any.
        ConfigError: the manifest is malformed.
        WeightsUnavailable: a hub that may have them cannot be read.
        TrackingError: the store does not answer.
    """
    if not name.startswith(_RUN):
        return find_manifest(name)
    tracker = open_tracker()
    return tracker.weights_manifest(tracker.find_run(name.removeprefix(_RUN)))
