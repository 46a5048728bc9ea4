"""Carries out a suite: what is finished is skipped, what is half done goes on, what fails is a row."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lungzoo.checks import check_experiment, check_settings, leakage_warning
from lungzoo.config import ExperimentConfig, SuiteConfig
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import TrackingError, storage_error
from lungzoo.events import Event, Note, Observer, RunEnded, SuiteStarted
from lungzoo.executors import Executor, Job
from lungzoo.experiment import ended_event, record_failure
from lungzoo.suites.grid import expand, plan_suite
from lungzoo.suites.report.report import Report, build_report
from lungzoo.suites.report.results import usable_runs
from lungzoo.suites.report.summary import summarise_suite
from lungzoo.tracking.workspace import Workspace, exclusive

if TYPE_CHECKING:
    from lungzoo.tracking.mlflow_tracker import MlflowTracker


def run_suite(
    suite: SuiteConfig,
    dataset: PreparedDataset,
    *,
    tracker: MlflowTracker,
    runs: Path,
    executor: Executor,
    observe: Observer,
    fresh: bool = False,
    allow_leakage: bool = False,
) -> Report:
    """Run every arm with every seed that has no results which the report takes, and return the report.

    Args:
        suite: the comparison.
        dataset: the opened dataset.
        tracker: store of the suite's records.
        runs: folder of workspaces; held for as long as the suite runs.
        executor: carries out single runs.
        observe: receives events.
        fresh: run everything again, in a new parent run.
        allow_leakage: run although training has seen the test split; the table says so, also of runs that had
            finished before that was found, and so does every later report.

    Raises:
        UnknownNameError, ConfigError: an arm cannot run on this dataset; nothing was started.
        BusyError: another process runs a suite in `runs`.
        TrackingError: the store stopped answering; results wait in `runs`.
    """
    experiments = [check_experiment(experiment, dataset, tracker, allow_leakage) for experiment in expand(suite)]
    leaks = [leakage_warning(each, dataset, tracker) for each in experiments] if allow_leakage else []
    plan = plan_suite(suite, experiments, dataset, leaks)
    planned = [run.fingerprint for run in plan.runs]
    with exclusive(runs):
        finished = set[str]() if fresh else finished_runs(planned, tracker, observe, plan.primary_metric)
        ahead = [pair for pair in zip(plan.runs, experiments, strict=True) if pair[0].fingerprint not in finished]
        observe(SuiteStarted(plan.title, tuple(planned.arm for planned, _ in ahead), len(finished)))
        suite_id = tracker.open_suite(plan, fresh)
        try:
            for _, experiment in ahead:
                run_one(
                    experiment,
                    dataset,
                    tracker=tracker,
                    runs=runs,
                    executor=executor,
                    observe=observe,
                    suite_id=suite_id,
                    fresh=fresh,
                    allow_leakage=allow_leakage,
                )
            report = build_report(plan, tracker)
        except BaseException:
            with suppress(TrackingError):  # the first error is the one to tell
                tracker.close_suite(suite_id, "interrupted", None)
            raise
        if note := tracker.close_suite(suite_id, "finished", summarise_suite(report)):
            observe(Note(note))
    return report


def preview_suite(
    suite: SuiteConfig,
    dataset: PreparedDataset | None,
    *,
    tracker: MlflowTracker | None,
    observe: Observer,
    fresh: bool = False,
    allow_leakage: bool = False,
) -> list[tuple[ExperimentConfig, bool]]:
    """Return the runs of a suite, each with whether its results are kept; nothing is started.

    Args:
        suite: the comparison.
        dataset: the opened dataset; without one only settings are checked, and nothing counts as finished.
        tracker: store of the suite's records; None where there are none yet, and no run that training starts from.
        observe: receives remarks.
        fresh, allow_leakage: see `run_suite`.

    Raises:
        UsageError, UnknownNameError, ConfigError, WeightsMismatch: an arm cannot run, as `run_suite` would say.
        TrackingError: the store does not answer.
    """
    experiments = expand(suite)
    if dataset is None:
        return [(check_settings(experiment, tracker)[0], False) for experiment in experiments]
    experiments = [check_experiment(experiment, dataset, tracker, allow_leakage) for experiment in experiments]
    planned = [experiment.fingerprint(dataset.fingerprint) for experiment in experiments]
    finished = set[str]()
    if tracker is not None and not fresh:
        finished = finished_runs(planned, tracker, observe, suite.primary_metric)
    return [(experiment, key in finished) for experiment, key in zip(experiments, planned, strict=True)]


def finished_runs(fingerprints: list[str], tracker: MlflowTracker, observe: Observer, primary_metric: str) -> set[str]:
    """Return which runs need not run again, and say why others do that are recorded as finished."""
    finished, useless = usable_runs(fingerprints, tracker, primary_metric)
    if tracker.unreadable:
        observe(Note(f"The artifacts of {len(tracker.unreadable)} recorded run(s) are gone; they run again."))
    if useless:
        observe(
            Note(
                f"The report cannot take the results of {useless} finished run(s): their cases are gone or damaged, or "
                "another version of the metrics scored them. They run again."
            )
        )
    return finished


def run_one(
    experiment: ExperimentConfig,
    dataset: PreparedDataset,
    *,
    tracker: MlflowTracker,
    runs: Path,
    executor: Executor,
    observe: Observer,
    suite_id: str | None = None,
    fresh: bool = False,
    allow_leakage: bool = False,
) -> str:
    """Have an executor carry out one experiment; a process that dies leaves a failed record.

    Args:
        experiment: as `check_experiment` returned it.
        dataset, tracker, runs, executor, observe: see `run_suite`.
        suite_id: parent run, if the run belongs to a suite.
        fresh: start from the first epoch, whatever an earlier attempt left; results that wait are delivered first.
        allow_leakage: see `run_suite`.

    Returns:
        What became of the run: "finished", "skipped" or "failed".
    """
    workspace = Workspace(runs, experiment.fingerprint(dataset.fingerprint))
    if fresh:
        if workspace.results():
            run_one(
                experiment,
                dataset,
                tracker=tracker,
                runs=runs,
                executor=executor,
                observe=observe,
                suite_id=suite_id,
                allow_leakage=allow_leakage,
            )
        workspace.start_over()
    job = Job(
        config=experiment.model_dump(mode="json"),
        dataset=str(dataset.path.resolve()),
        runs=str(runs),
        log=str(workspace.path / "log.txt"),
        experiment=tracker.experiment,
        uri=tracker.uri,
        suite_id=suite_id,
        allow_leakage=allow_leakage,
    )
    ended: list[RunEnded] = []

    def listen(event: Event) -> None:
        if isinstance(event, RunEnded):
            ended.append(event)
        observe(event)

    try:
        reason = executor.run(job, listen)
    except OSError as error:
        raise storage_error("write to", error) from error
    if ended:  # recorded, whatever its process did afterwards
        return ended[-1].status
    record = record_failure(experiment, dataset, reason, tracker=tracker, runs=runs, suite_id=suite_id)
    observe(ended_event(record))
    return record.status
