"""Carries out a search: whatever is over is kept, whatever was cut off goes on, and what came out is recorded."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lungzoo.atomic import write_atomic
from lungzoo.checks import check_experiment
from lungzoo.data.splits.split import split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import TrackingError, UsageError, storage_error
from lungzoo.events import Observer, SearchStarted
from lungzoo.search.crew import Crew, check_address
from lungzoo.search.outcome import Outcome, Outcomes
from lungzoo.search.plan import TUNERS, SearchPlan, find_plan
from lungzoo.search.plots import save_plots
from lungzoo.search.results import SearchResults
from lungzoo.search.space import check_space
from lungzoo.search.stopping import ring, time_is_up, unring
from lungzoo.search.trial import Asked, Trials, ended_trial, trials_folder
from lungzoo.tracking.describe import describe_dataset
from lungzoo.tracking.search import SearchPage
from lungzoo.tracking.workspace import Workspace, exclusive
from lungzoo.training.checkpoint import CheckpointFolder, Progress
from lungzoo.training.trial import JUDGED
from lungzoo.weights.toml import toml_text

if TYPE_CHECKING:
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

BEST_FILE = "best.toml"
_ORDER_FILE = "order.json"
_CLOCK_FILE = "seconds.json"
_SAVE_CLOCK_S = 5.0


def search_folder(runs: Path, name: str) -> Path:
    """Return where a search keeps its state."""
    return runs / f"tune-{name}"


def check_search_plan(plan: SearchPlan, dataset: PreparedDataset, tracker: MlflowTracker | None = None) -> None:
    """Refuse a search that cannot run on a dataset, before anything is started; reads no test case.

    Raises:
        UsageError: saying what is asked for and what there is.
    """
    plan.check()
    check_space(plan.space, plan.base, tracker)
    check_experiment(plan.experiment, dataset, tracker, parts=JUDGED)


def run_search(
    plan: SearchPlan,
    dataset: PreparedDataset,
    *,
    tracker: MlflowTracker,
    runs: Path,
    observe: Observer,
    workers: int = 1,
    address: str | None = None,
    fresh: bool = False,
) -> SearchResults:
    """Search, or go on with a search, and return what it found.

    Args:
        plan: the search.
        dataset: the opened dataset.
        tracker: store of the search's records.
        runs: folder of searches; all workers need it.
        observe: receives events.
        workers: processes on this machine; one GPU each where there are several.
        address: HOST:PORT at which workers of other machines find the chief.
        fresh: start the search over.

    Raises:
        UsageError: the search cannot run on this dataset, or another one has its name.
        BusyError: another process runs it.
        TrackingError: the store stopped answering; the same command goes on.
        LungzooError: its processes died for a reason that another attempt would not change.
    """
    check_address(address)
    check_search_plan(plan, dataset, tracker)
    folder = search_folder(runs, plan.name)
    with exclusive(folder):
        if fresh:
            _clear(folder)
        plan.refuse_another(folder)
        clock = _Clock(folder, plan.hours)
        page = SearchPage(
            title=f"{plan.space.title} · {TUNERS[plan.tuner].partition(';')[0]}",
            digest=plan.digest,
            dataset=describe_dataset(dataset),
            params={"tuner": plan.tuner, "space": plan.space.name, "repeats": plan.repeats, "seed": plan.search_seed},
            varied=tuple(plan.space.parameters),
        )
        search_id = tracker.open_search(page, fresh)
        order = {
            "folder": str(folder.resolve()),
            "dataset": str(dataset.path.resolve()),
            "uri": tracker.uri,
            "experiment": tracker.experiment,
            "search_id": search_id,
        }
        _prepare(plan, folder, order)
        outcomes = Outcomes(folder)
        observe(SearchStarted(page.title, len(outcomes.all()), plan.most_trials))
        crew = Crew(
            order, folder, workers, observe, _giving_up(plan, dataset, tracker, order, observe), clock.tick, address
        )
        results = None
        try:
            crew.work()
            clock.save()
            results = _gather(plan, dataset, folder, clock)
        finally:
            status = "finished" if results else "interrupted"
            with suppress(*(() if results else (TrackingError,))):  # the first error is the one to tell
                _close(tracker, search_id, status, page, results or _gather(plan, dataset, folder, clock))
        if not plan.may_go_on:
            shutil.rmtree(trials_folder(folder), ignore_errors=True)
    return results


def join_search(folder: Path, *, address: str, workers: int, name: str, observe: Observer) -> None:
    """Work for the chief of a search on another machine, which shares this folder, the dataset and the store.

    Raises:
        UsageError: no search was started there, or the address is none.
    """
    check_address(address)
    try:
        order = json.loads((folder / _ORDER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"No search in {folder}. Start one with: lungzoo tune run … --listen {address}") from None
    plan = find_plan(folder)
    assert plan is not None
    dataset = PreparedDataset(order["dataset"], verify=False)

    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(order["experiment"], order["uri"])
    order["folder"] = str(folder.resolve())
    give_up = _giving_up(plan, dataset, tracker, order, observe)
    Crew(order, folder, workers, observe, give_up, lambda: None, address, chief=False, name=name).work()


def _giving_up(
    plan: SearchPlan, dataset: PreparedDataset, tracker: MlflowTracker, order: dict[str, str], observe: Observer
) -> Callable[[str, str], None]:
    """Return what records a trial whose processes died: the workers find its outcome and go on to the next."""
    folder = Path(order["folder"])
    trials = Trials(plan, dataset, tracker, folder, order["search_id"], observe)

    def give_up(number: str, reason: str) -> None:
        values = json.loads((folder / f"trial_{number}" / "trial.json").read_text())["hyperparameters"]["values"]
        outcome = trials.give_up(_asked(plan, number, values), reason)
        observe(ended_trial(outcome, ""))

    return give_up


def _asked(plan: SearchPlan, number: str, values: dict[str, object]) -> Asked:
    from lungzoo.search.tune import asked_for

    return asked_for(plan, number, values)


def _prepare(plan: SearchPlan, folder: Path, order: dict[str, str]) -> None:
    try:
        plan.save(folder)
        write_atomic(folder / _ORDER_FILE, json.dumps(order, indent=1) + "\n")
        unring(folder)
    except OSError as error:
        raise storage_error("write to", error) from error


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != ".lock":
            path.unlink()


def _gather(plan: SearchPlan, dataset: PreparedDataset, folder: Path, clock: _Clock) -> SearchResults:
    split = split_dataset(dataset, plan.experiment.data)
    outcomes = tuple(Outcomes(folder).all())
    rest = tuple(cut_off(folder, outcomes))
    return SearchResults(plan, outcomes, clock.seconds, describe_dataset(dataset), split.fingerprint, rest)


def cut_off(folder: Path, outcomes: tuple[Outcome, ...]) -> Iterator[Progress]:
    """Yield how far the runs are that belong to no trial that is over."""
    over = {run_id for outcome in outcomes for run_id in outcome.runs}
    runs = trials_folder(folder)
    for path in runs.glob("*"):
        workspace = Workspace(runs, path.name)
        progress = CheckpointFolder(workspace.checkpoints).progress()
        if progress is not None and workspace.run_id() not in over:
            yield progress


def _close(tracker: MlflowTracker, search_id: str, status: str, page: SearchPage, results: SearchResults) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "trials.csv").write_text(results.csv_text(), encoding="utf-8")
        (folder / "search.json").write_text(results.plan.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if tuned := results.tuned():
            (folder / BEST_FILE).write_text(toml_text(tuned.model_dump(mode="json")), encoding="utf-8")
        save_plots(results, folder)
        filled = replace(
            page,
            describe=results.markdown,
            runs={outcome.number: outcome.runs[0] for outcome in results.outcomes if outcome.runs},
            best=results.best.number if results.best else "",
            metrics=results.metrics(),
            folder=folder,
        )
        tracker.close_search(search_id, status, filled)


class _Clock:
    """The time that a search has taken, all its sittings together; rings when it is up."""

    def __init__(self, folder: Path, hours: float | None) -> None:
        self._folder, self._limit = folder, None if hours is None else hours * 3600
        self._before = 0.0
        with suppress(OSError, ValueError, KeyError):
            self._before = float(json.loads((folder / _CLOCK_FILE).read_text())["seconds"])
        self._began = self._saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + time.monotonic() - self._began

    def save(self) -> None:
        """Keep the time for the next sitting."""
        self._saved = time.monotonic()
        with suppress(OSError):
            write_atomic(self._folder / _CLOCK_FILE, json.dumps({"seconds": round(self.seconds, 1)}))

    def tick(self) -> None:
        """Keep the time now and then, and tell the workers when it is up."""
        if time.monotonic() - self._saved > _SAVE_CLOCK_S:
            self.save()
        if self._limit is not None and self.seconds > self._limit and not time_is_up(self._folder):
            ring(self._folder)
