"""Maps for best, median and worst test cases of the arm that a suite selects, for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UsageError
from lungzoo.evaluation.overlay import pick_cases
from lungzoo.events import Progress
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Method, Subject
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


@dataclass(frozen=True)
class SuiteModels:
    """What of a suite is explained, and how.

    Args:
        dataset: what the suite was run on.
        runs: of the arm with the best validation Dice: its first, or for a method of several models those of a fold.
        predictors: their models.
        picked: (kind, rows of the per-case results) of the first run.
        method: the method.
        options: its settings, the defaults.
    """

    dataset: PreparedDataset
    runs: Sequence[RunRecord]
    predictors: Sequence[Predictor]
    picked: Sequence[tuple[str, list[Any]]]
    method: Method
    options: Frozen


def open_suite(report: Report, method: str, dataset: PreparedDataset) -> SuiteModels:
    """Open the models of the arm with the best validation Dice, by the weights that its runs kept.

    Args:
        report: of the suite.
        method: name of the method.
        dataset: what the suite was run on.

    Raises:
        UnknownNameError: no such method.
        UsageError: another dataset, no finished run, no weights, too few cases, or a model that is not explained.
    """
    chosen, options = EXPLANATIONS.get(method), checked_options(method, {})
    _check_dataset(report, dataset)
    runs = _runs(_selected(report), chosen.of_several)
    picked = _picked(report.tracker, runs[0])
    predictors = _opened(report.tracker, runs)
    chosen.check(predictors, options)
    return SuiteModels(dataset, runs, predictors, picked, chosen, options)


def explain_suite(models: SuiteModels, passes: Passes, progress: Progress = lambda done, total: None) -> Explained:
    """Explain what the models do in best, median and worst cases.

    Args:
        models: see `open_suite`.
        passes: how they are run.
        progress: is told how many of how many cases are done.
    """
    from lungzoo.explain.suite_picture import draw

    total = sum(len(cases) for _, cases in models.picked)
    done: list[ExplainedCase] = []
    for kind, cases in models.picked:
        for case in cases:
            done.append(_explain(kind, case, models, passes))
            progress(len(done), total)
    first, title = models.runs[0], models.method.title
    who = f"{first.title}, seed {', '.join(str(run.seed) for run in models.runs)}"
    caption = f"{done[0].heat.details}; {who}; slices whole, not shifted as in scoring"
    return Explained(first.arm, title, caption, draw(done, f"{title}: {who}"))


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


def _explain(kind: str, case: Any, models: SuiteModels, passes: Passes) -> ExplainedCase:
    dataset, predictors = models.dataset, models.predictors
    place = dataset.cases["case"].astype(str).tolist().index(case["case"])
    volume = str(dataset.cases["volume"].iloc[place])
    found = Input(volume, dataset.path, False, False, partial(read_volume, dataset, volume))
    result = predict_scan(found, predictors, Settings(passes=passes))
    same, z = dataset.cases["volume"].astype(str) == volume, dataset.cases["z"]
    row = int((z[same] < z.iloc[place]).sum())
    readers = predictors[0].protocol.data.consensus_readers
    reference, mask = dataset.consensus(np.array([place]), readers)[0] > 0, mask_of(result, row)
    region = mask if mask.any() else reference
    heat = models.method.explain(Subject(predictors, result.volume, row, region, passes), models.options)
    return ExplainedCase(kind, f"{case['case']}\nDice {case['dice']:.3f}", result, row, reference, region, heat)
