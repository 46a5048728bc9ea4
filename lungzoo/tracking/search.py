"""What a tracking store shows of a hyperparameter search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SearchPage:
    """The parent run of a search.

    Args:
        title: its name in the list of runs.
        digest: identity of the search; a run with the same one is gone on with.
        dataset: see `RunRecord.dataset`.
        params: what was asked for.
        varied: config keys of the settings that its trials vary.
        describe: from a link of each trial by its number to the description in Markdown; None at the start.
        runs: id of the first run of each trial by its number.
        best: number of the best trial, "" where none finished.
        metrics: figures of the search; NaN ones are not recorded.
        folder: files to keep with the run.
    """

    title: str
    digest: str
    dataset: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] = ()
    describe: Callable[[dict[str, str]], str] | None = None
    runs: dict[str, str] = field(default_factory=dict)
    best: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    folder: Path | None = None
