"""Ways to carry out a run. An executor takes a job, relays its events, and says how its process ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lungzoo.events import Observer


@dataclass(frozen=True)
class Job:
    """One run, as plain values that cross process borders.

    Args:
        config: the experiment.
        dataset: folder of the prepared dataset.
        runs: folder of workspaces.
        log: file for what the process writes beside its events.
        experiment, uri: of the tracker.
        suite_id: parent run.
        allow_leakage: see `run_experiment`.
    """

    config: dict[str, Any]
    dataset: str
    runs: str
    log: str
    experiment: str
    uri: str
    suite_id: str | None
    allow_leakage: bool = False

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))


class Executor(Protocol):
    """Carries out one job at a time."""

    def run(self, job: Job, observe: Observer) -> str:
        """Carry out a job; returns "" when the run was recorded, else why its process ended without a record."""
