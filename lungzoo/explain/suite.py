"""Maps for best, median and worst test cases of the arm that a suite selects, for its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UsageError
from lungzoo.evaluation.overlay import pick_cases
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Progress, Subject
from lungzoo.explain.run import checked_options
from lungzoo.inference.inputs import Input
from lungzoo.inference.inputs.dataset import read_volume
from lungzoo.inference.predict import Settings, predict_scan
from lungzoo.inference.predictor import Passes, Predictor, open_predictor
from lungzoo.inference.result import Result
from lungzoo.schema import Frozen
from lungzoo.suites.report.report import Explained, Report
from lungzoo.suites.report.results import ArmResults
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.tracker import Tracker

EACH = 3
"""Cases of every kind."""


@dataclass(frozen=True)
class ExplainedCase:
    """A test slice with its map.

    Args:
        kind: "best", "median" or "worst".
        title: the case and its Dice as it was scored.
        result: its volume with the predicted mask.
        row: index of the slice in the volume's image.
        reference: bool (H, W).
        region: bool (H, W), the pixels whose answer is explained: the predicted mask; the reference where it is empty.
        heat: the map.
    """

    kind: str
    title: str
    result: Result
    row: int
    reference: np.ndarray
    region: np.ndarray
    heat: HeatMap

    @property
    def mask(self) -> np.ndarray:
        """The predicted mask, bool (H, W)."""
        return mask_of(self.result, self.row)


def explain_suite(
    report: Report, method: str, dataset: PreparedDataset, passes: Passes, progress: Progress = lambda done, total: None
) -> Explained:
    """Explain cases of the arm with the best validation Dice, by the weights that its first run kept.

    Args:
        report: of the suite.
        method: name of the method; its settings are the defaults. One of several models takes the seeds of a fold.
        dataset: what the suite was run on.
        passes: how models are run.
        progress: is told how many of how many cases are done.

    Raises:
        UnknownNameError: no such method.
        UsageError: another dataset, no finished run, no weights, too few cases, or a model that is not explained.
    """
    from lungzoo.explain.suite_picture import draw

    chosen, options = EXPLANATIONS.get(method), checked_options(method, {})
    _check_dataset(report, dataset)
    arm = _selected(report)
    runs = _runs(arm, chosen.of_several)
    picked = _picked(report.tracker, runs[0])
    predictors = _opened(report.tracker, runs)
    chosen.check(predictors, options)
    total = sum(len(cases) for _, cases in picked)
    done: list[ExplainedCase] = []
    for case in _explained(picked, predictors, chosen, options, dataset, passes):
        done.append(case)
        progress(len(done), total)
    seeds = ", ".join(str(run.seed) for run in runs)
    caption = f"{done[0].heat.details}; {runs[0].title}, seed {seeds}; slices whole, not shifted as in scoring"
    return Explained(arm.arm, chosen.title, caption, draw(done, f"{chosen.title}: {runs[0].title}, seed {seeds}"))


def mask_of(result: Result, row: int) -> np.ndarray:
    """Return the predicted mask of a slice, bool (H, W)."""
    return np.asarray(result.mask[int(result.volume.z[row])] > 0)


def _check_dataset(report: Report, dataset: PreparedDataset) -> None:
    wanted = report.plan.dataset
    if wanted["fingerprint"] != dataset.fingerprint:
        raise UsageError(
            f"The suite was run on '{wanted['name']}' ({wanted['fingerprint'][:12]}). Received: {dataset.path} "
            f"({dataset.fingerprint[:12]}). Give that dataset with --data."
        )


def _selected(report: Report) -> ArmResults:
    if not report.results.with_results:
        raise UsageError("No run of the suite is finished, so there is nothing to explain. Run it first.")
    found = report.results.with_results
    selected = {row.arm for row in report.table.rows if row.selected}
    return next((arm for arm in found if arm.arm in selected), found[0])


def _runs(arm: ArmResults, several: bool) -> list[RunRecord]:
    """Return the run that is explained; for a method of several models all seeds of its fold."""
    first = arm.finished[0]
    return [run for run in arm.finished if run.fold == first.fold] if several else [first]


def _picked(tracker: Tracker, run: RunRecord) -> list[tuple[str, list[Any]]]:
    """Return (kind, rows of the per-case results) of a run."""
    import pandas as pd

    scores = pd.read_csv(tracker.artifacts([run.fingerprint], "per_case.csv")[run.fingerprint], dtype={"case": str})
    picked = [(kind, [scores.loc[place] for place in places]) for kind, places in pick_cases(scores, EACH).items()]
    if not picked[0][1]:
        raise UsageError(f"'{run.title}' has fewer than three test cases with a lesion, too few to show.")
    return picked


def _opened(tracker: Tracker, runs: Sequence[RunRecord]) -> list[Predictor]:
    folders = tracker.artifacts([run.fingerprint for run in runs], "weights")
    for run in runs:
        if run.fingerprint not in folders:
            raise UsageError(
                f"The weights of '{run.title}', seed {run.seed}, are gone. Run the suite again with --fresh."
            )
    return [open_predictor(folders[run.fingerprint]) for run in runs]


def _explained(
    picked: list[tuple[str, list[Any]]],
    predictors: Sequence[Predictor],
    method: Method,
    options: Frozen,
    dataset: PreparedDataset,
    passes: Passes,
) -> Iterator[ExplainedCase]:
    names = dataset.cases["case"].astype(str).to_numpy()
    for kind, cases in picked:
        for case in cases:
            place = int(np.flatnonzero(names == case["case"])[0])
            title = f"{case['case']}\nDice {case['dice']:.3f}"
            yield _explain(kind, title, place, predictors, method, options, dataset, passes)


def _explain(
    kind: str,
    title: str,
    place: int,
    predictors: Sequence[Predictor],
    method: Method,
    options: Frozen,
    dataset: PreparedDataset,
    passes: Passes,
) -> ExplainedCase:
    volume = str(dataset.cases["volume"].iloc[place])
    found = Input(volume, dataset.path, False, False, partial(read_volume, dataset, volume))
    result = predict_scan(found, predictors, Settings(passes=passes))
    same, z = dataset.cases["volume"].astype(str) == volume, dataset.cases["z"]
    row = int((z[same] < z.iloc[place]).sum())
    readers = predictors[0].protocol.data.consensus_readers
    reference, mask = dataset.consensus(np.array([place]), readers)[0] > 0, mask_of(result, row)
    region = mask if mask.any() else reference
    heat = method.explain(Subject(predictors, result.volume, row, region, passes), options)
    return ExplainedCase(kind, title, result, row, reference, region, heat)
