"""What the rest of lungzoo asks of a tracking store."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lungzoo.tracking.record import RunRecord, SuitePlan
from lungzoo.tracking.search import SearchPage
from lungzoo.tracking.summary import Champion, SuiteSummary
from lungzoo.weights.manifest import WeightsManifest


class Tracker(Protocol):
    """A tracking store, seen from one suite. Every method may raise TrackingError when the store does not answer.

    Args:
        uri: where it is.
    """

    uri: str

    def open_suite(self, plan: SuitePlan, fresh: bool) -> str:
        """Start the parent run of a suite run, or go on with the one of the same runs; returns its id.

        Either way the plan is kept with it, so titles and the primary metric are those of the last call.
        """

    def close_suite(self, suite_id: str, status: str, summary: SuiteSummary | None) -> str:
        """End the parent run, "finished" or "interrupted", with what the suite found.

        Returns:
            What became of the weights that the suite recommends, in a sentence; "" where it recommends none.
        """

    def last_plan(self) -> SuitePlan | None:
        """Return the plan of the run of the suite that was started or gone on with last."""

    def open_search(self, page: SearchPage, fresh: bool) -> str:
        """Start the parent run of a search, or go on with the one of the same digest; returns its id."""

    def close_search(self, search_id: str, status: str, page: SearchPage) -> None:
        """End the parent run of a search, "finished" or "interrupted", with what it found."""

    def start_run(self, started: RunRecord, suite_id: str | None, run_id: str | None) -> str:
        """Start a run, or reopen `run_id` where it is one of this suite; returns the run's id.

        `started` holds what is known before training.
        """

    def log_epoch(self, run_id: str, epoch: int, metrics: dict[str, float]) -> None:
        """Add one epoch's metrics."""

    def finish_run(self, run_id: str, record: RunRecord, history: list[dict[str, float]], artifacts: Path) -> None:
        """End a run: final metrics, the epochs that are missing, and every file of `artifacts`."""

    def interrupt_run(self, run_id: str) -> None:
        """Mark a run that was stopped by hand; it can be reopened."""

    def find(self, fingerprints: list[str]) -> dict[str, RunRecord]:
        """Return the newest record of each fingerprint that has one."""

    def artifacts(self, fingerprints: list[str], name: str) -> dict[str, Path]:
        """Return where the file `name` of the newest record of each fingerprint lies; those without it are absent."""

    def find_run(self, run: str) -> str:
        """Return the whole id of the one run whose id is or begins with `run`; raises UsageError."""

    def run_record(self, run_id: str) -> RunRecord:
        """Return the record of a run, of whichever suite; raises UsageError where it has none."""

    def of_run(self, run_id: str) -> Tracker:
        """Return the store as if it held this one run, of whichever suite: `find` and `artifacts` know no other."""

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        """Return what is known of the weights of a run; raises UsageError where it has none."""

    def weights(self, run_id: str, folder: Path) -> Path:
        """Copy the weights and their manifest of a finished run into `folder`; returns where they lie."""

    def register_run(self, run_id: str, name: str, weights: Path, champion: Champion) -> tuple[str, bool]:
        """Make the weights of a run, in a folder with their manifest, a version of a registered model.

        Returns:
            The version, and whether it is new: the same weights stay the same version.
        """
