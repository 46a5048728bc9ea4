"""One trial: a `run_experiment` per seed, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from lungzoo.checks import check_experiment
from lungzoo.config import ExperimentConfig
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import BusyError, UsageError
from lungzoo.events import Note, Observer, TrialEnded, TrialStarted
from lungzoo.experiment import record_failure, run_experiment
from lungzoo.search.outcome import Outcome, Outcomes, State
from lungzoo.search.plan import SearchPlan
from lungzoo.search.stopping import TimeIsUp, behind_median, time_is_up
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.tracker import Tracker
from lungzoo.tracking.workspace import Workspace
from lungzoo.training.checkpoint import CheckpointFolder, Progress
from lungzoo.training.trial import JUDGED, OUT_OF_TIME, Trial

_BUSY_S = 2.0


@dataclass(frozen=True)
class Asked:
    """A trial that the algorithm asks for.

    Args:
        number: of the trial.
        values: settings by config key.
        until: epochs to train to.
        continues: number of the trial that it goes on from.
        bracket, round: of Hyperband.
    """

    number: str
    values: dict[str, Any]
    until: int
    continues: str | None = None
    bracket: int | None = None
    round: int | None = None


class Trials:
    """Carries out the trials of one search in one process.

    Args:
        plan: the search.
        dataset: opened dataset.
        tracker: where the records go.
        folder: of the search.
        search_id: parent run of the trials.
        observe: receives events.
        worker: name of this process among the workers.
    """

    def __init__(
        self,
        plan: SearchPlan,
        dataset: PreparedDataset,
        tracker: Tracker,
        folder: Path,
        search_id: str,
        observe: Observer,
        worker: str = "",
    ) -> None:
        self.plan, self.dataset, self.tracker = plan, dataset, tracker
        self.folder, self.search_id, self.observe, self.worker = folder, search_id, observe, worker
        self.outcomes = Outcomes(folder)

    def carry_out(self, asked: Asked) -> Outcome:
        """Train and judge a trial; one that is over already is not repeated.

        Raises:
            TrackingError, StorageError: the trial could not be recorded; the next attempt goes on from its checkpoint.
            TimeIsUp: likewise, with more time.
        """
        over = self.outcomes.find(asked.number)
        if over is not None:
            return over
        self.observe(TrialStarted(asked.number, self.worker, describe_values(asked.values), asked.until))
        began = time.monotonic()
        outcome, waits = None, False
        while outcome is None:
            try:
                outcome = self._attempt(asked)
            except BusyError as error:
                if not waits:
                    self.observe(Note(f"Trial {asked.number} waits: {error}"))
                waits = True
                outcome = self._of_another(asked)
        if outcome != self.outcomes.find(asked.number):
            outcome = replace(outcome, seconds=round(time.monotonic() - began, 3))
            self.outcomes.write(outcome)
        self.observe(ended_trial(outcome, self.worker))
        return outcome

    def _attempt(self, asked: Asked) -> Outcome:
        try:
            return self._broken_origin(asked) or self._run(asked)
        except UsageError as error:
            return self._refused(asked, str(error))

    def _of_another(self, asked: Asked) -> Outcome | None:
        """Wait a little for the machine that still has the trial, and return its outcome once it is there.

        After a restart the chief hands out anew what a machine out of its sight still trains.
        """
        if time_is_up(self.folder):
            raise TimeIsUp("The time of the search is over.")
        time.sleep(_BUSY_S)
        return self.outcomes.find(asked.number)

    def give_up(self, asked: Asked, reason: str) -> Outcome:
        """Record a trial whose process died again and again."""
        outcome = self._refused(asked, reason)
        self.outcomes.write(outcome)
        return outcome

    def _run(self, asked: Asked) -> Outcome:
        return self._sum_up(asked, self._trained(asked))

    def _trained(self, asked: Asked) -> Iterator[RunRecord]:
        for repeat in range(self.plan.repeats):
            record = run_experiment(
                self.plan.config(asked.values, repeat),
                self.dataset,
                tracker=self.tracker,
                runs=self.runs,
                suite_id=self.search_id,
                observe=self.observe,
                trial=self._trial(asked, repeat),
            )
            _forget_models()
            yield record

    def _sum_up(self, asked: Asked, records: Iterable[RunRecord]) -> Outcome:
        """Put together what the repeats found; the first that did not finish ends the trial."""
        outcome = _blank(asked)
        scores: list[float] = []
        for record in records:
            outcome = self._add(outcome, record)
            if outcome.reason == OUT_OF_TIME:
                raise TimeIsUp("The time of the search is over.")
            if "val_dice" in record.validation:
                scores.append(record.validation["val_dice"])
            if outcome.state != "finished":
                break
        return replace(outcome, val_dice=fmean(scores) if scores and outcome.state in ("finished", "pruned") else None)

    @property
    def runs(self) -> Path:
        """Folder of the trials' workspaces."""
        return trials_folder(self.folder)

    def _trial(self, asked: Asked, repeat: int) -> Trial:
        return Trial(
            search=self.plan.name,
            number=asked.number,
            repeat=repeat,
            until=asked.until,
            continues=asked.continues,
            bracket=asked.bracket,
            round=asked.round,
            stop=self._stop,
        )

    def _stop(self, progress: Progress) -> str:
        if time_is_up(self.folder):
            return OUT_OF_TIME
        if not self.plan.prune:
            return ""
        return behind_median(progress, self.outcomes.all(), self.plan.experiment.train.epochs)

    def _add(self, outcome: Outcome, record: RunRecord) -> Outcome:
        """Add what one repeat took to the outcome."""
        workspace = Workspace(self.runs, record.fingerprint)
        progress = CheckpointFolder(workspace.checkpoints).progress() or Progress()
        state: State = record.trial.get("state", "failed")
        return replace(
            outcome,
            state=state,
            reason=record.reason,
            epochs=outcome.epochs + progress.own_epochs,
            until=max(outcome.until, progress.epoch),
            train_seconds=round(outcome.train_seconds + progress.own_seconds, 3),
            curve=outcome.curve or tuple(row["val_dice"] for row in progress.history),
            runs=(*outcome.runs, *filter(None, [workspace.run_id()])),
        )

    def _broken_origin(self, asked: Asked) -> Outcome | None:
        """Return the outcome of a trial that would go on from one that broke; None where it can be carried out."""
        origin = self.outcomes.find(asked.continues) if asked.continues else None
        if origin is None or origin.val_dice is not None:
            return None
        return self._refused(asked, f"Trial {origin.number}, which it would go on from, broke: {origin.reason}")

    def _refused(self, asked: Asked, reason: str) -> Outcome:
        """Record what cannot be carried out, as the run of the first seed that is not over.

        Results that only waited for delivery count; a trial of which nothing is missing is finished.
        """
        records = list(self._broken(asked, reason))
        outcome = self._sum_up(asked, records)
        if outcome.state == "finished" and len(records) < self.plan.repeats:
            return replace(outcome, state="failed", reason=reason, val_dice=None)
        return outcome

    def _broken(self, asked: Asked, reason: str) -> Iterator[RunRecord]:
        """Yield the records of the seeds that are over, and that of the first that is not."""
        for repeat in range(self.plan.repeats):
            trial = self._trial(asked, repeat)
            try:
                config = self._pinned(self.plan.config(asked.values, repeat))
                record = self._over(config, trial) or record_failure(
                    config,
                    self.dataset,
                    reason,
                    tracker=self.tracker,
                    runs=self.runs,
                    suite_id=self.search_id,
                    trial=trial,
                )
            except UsageError:  # no experiment at all: the table of the search is where it shows
                return
            yield record
            if record.trial.get("state") != "finished":
                return

    def _pinned(self, config: ExperimentConfig) -> ExperimentConfig:
        """Return a config as its run has it, or as it is where it cannot run."""
        try:
            return check_experiment(config, self.dataset, self.tracker, parts=JUDGED)
        except UsageError:
            return config

    def _over(self, config: ExperimentConfig, trial: Trial) -> RunRecord | None:
        """Return the record of a seed that has finished, at whatever epoch patience ended it; None for any other."""
        run_id = Workspace(self.runs, trial.fingerprint(config.fingerprint(self.dataset.fingerprint))).run_id()
        if run_id is None:
            return None
        try:
            record = self.tracker.run_record(run_id)
        except UsageError:  # it was started, and has no record yet
            return None
        return record if record.status == "finished" and record.reason != OUT_OF_TIME else None


def trials_folder(folder: Path) -> Path:
    """Return where a search keeps the workspaces of its trials."""
    return folder / "trials"


def _forget_models() -> None:
    """Give back what Keras keeps of models that are gone; a process has many of them."""
    import keras

    keras.utils.clear_session(free_memory=True)


def ended_trial(outcome: Outcome, worker: str) -> TrialEnded:
    """Return the event that tells how a trial ended."""
    return TrialEnded(
        outcome.number, worker, outcome.state, outcome.val_dice, outcome.epochs, outcome.train_seconds, outcome.reason
    )  # fmt: skip


def describe_values(values: dict[str, Any]) -> str:
    """Return settings on one line, without their sections: "learning_rate=0.002, transfer=imagenet-finetune"."""
    return ", ".join(f"{key.rpartition('.')[2]}={show_value(value)}" for key, value in values.items())


def show_value(value: Any) -> str:
    """Return a setting as short text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _blank(asked: Asked) -> Outcome:
    return Outcome(
        asked.number,
        "finished",
        asked.values,
        continues=asked.continues,
        bracket=asked.bracket,
        round=asked.round,
    )
