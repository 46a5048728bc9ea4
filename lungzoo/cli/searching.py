"""How the search for near-duplicates shows itself; it takes minutes, once per dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungzoo.config import ExperimentConfig
    from lungzoo.data.store import PreparedDataset


@contextmanager
def search_progress() -> Iterator[Callable[[int, int], None]]:
    """Show how far the search for near-duplicates is, on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("Looking for near-duplicates"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("near", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def search_ahead(dataset: PreparedDataset, experiments: Iterable[ExperimentConfig]) -> None:
    """Search now, where a split will need it, rather than silently while the first run is checked."""
    from lungzoo.data.splits.groups import near_pairs
    from lungzoo.data.splits.split import needs_near

    if any(needs_near(dataset, experiment.data) for experiment in experiments):
        with search_progress() as progress:
            near_pairs(dataset, progress)
