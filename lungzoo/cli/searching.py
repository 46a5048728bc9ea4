"""How the search for near-duplicates shows itself; it takes minutes, once per dataset."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lungzoo.cli.output import progress_bar

if TYPE_CHECKING:
    from lungzoo.config import ExperimentConfig
    from lungzoo.data.store import PreparedDataset
    from lungzoo.events import Progress


def search_progress() -> AbstractContextManager[Progress]:
    """Show how far the search for near-duplicates is, on a terminal."""
    return progress_bar("Looking for near-duplicates")


def search_ahead(dataset: PreparedDataset, experiments: Iterable[ExperimentConfig]) -> None:
    """Search now, where a split will need it, rather than silently while the first run is checked."""
    from lungzoo.data.splits.groups import near_pairs
    from lungzoo.data.splits.split import needs_near

    if any(needs_near(dataset, experiment.data) for experiment in experiments):
        with search_progress() as progress:
            near_pairs(dataset, progress)
