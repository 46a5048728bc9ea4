"""Tune once, and show once: validation cases for the choice, test cases for what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from lungzoo.data.store import PreparedDataset
from lungzoo.events import Progress
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.tuning.gains import PLAIN, Gain, Row, measure_gains
from lungzoo.inference.tuning.grid import THRESHOLDS, Grid, Tried, alone, scored, try_all
from lungzoo.inference.tuning.held_out import HeldOut, check_members, held_out
from lungzoo.inference.tuning.kept import Choice, Kept, look
from lungzoo.inference.tuning.words import describe
from lungzoo.weights.manifest import WeightsManifest

Show = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Outcome:
    """What was tried, what was chosen, and what it gains.

    Args:
        weights: manifests of the members.
        validation: the cases that the choice was made on.
        grid: every combination on the mean of all members.
        alone: each step's best value by itself, on the first member.
        plain: the plain pass of the first member.
        chosen: the combination that is taken.
        test: the cases that gains were measured on; None where none were.
        gains: the plain pass first; empty without test cases.
    """

    weights: tuple[WeightsManifest, ...]
    validation: HeldOut
    grid: Grid
    alone: dict[str, Tried]
    plain: Tried
    chosen: Tried
    test: HeldOut | None = None
    gains: tuple[Gain, ...] = ()


def tune(
    predictors: Sequence[Predictor], dataset: PreparedDataset, passes: Passes, show: Show, on_test: bool = False
) -> Outcome:
    """Choose threshold, mirror images and steps by validation cases; no test case is read unless asked for.

    Args:
        predictors: one model, or several whose probabilities are averaged.
        dataset: the dataset that they were trained on.
        passes: batches and tiles.
        show: is given what is being done, and gives what is told how far it is.
        on_test: also score every step on the test cases, once.

    Raises:
        ConfigError: see `held_out` and `try_all`.
        DatasetError, MemoryRanOut: see `Predictor.slices`.
    """
    manifests = tuple(predictor.manifest for predictor in predictors)
    if on_test:  # told before anything is predicted
        check_members(manifests, "test")
    plain, single = predictors[0].protocol.threshold, 0 if len(predictors) > 1 else None
    validation = held_out(manifests, dataset, "val")
    kept = _look(predictors, validation, passes, plain, show)
    with show("Trying") as progress:
        grid = try_all(kept, validation, plain, progress)
    steps = alone(kept, validation, grid.axes, plain, single)
    start = _plain(kept, validation, grid, single)
    outcome = Outcome(manifests, validation, grid, steps, start, grid.chosen())
    return _with_gains(outcome, predictors, dataset, passes, show) if on_test else outcome


def _look(predictors: Sequence[Predictor], held: HeldOut, passes: Passes, plain: float, show: Show) -> list[Kept]:
    title = "Predicting validation cases" if held.part == "val" else "Predicting test cases"
    with show(title) as progress:
        return look(predictors, held, passes, min(plain, *THRESHOLDS), progress)


def _plain(kept: list[Kept], held: HeldOut, grid: Grid, single: int | None) -> Tried:
    if single is None:
        return grid.plain_pass
    return scored(kept, held, Choice(grid.plain), single)


def _with_gains(
    outcome: Outcome, predictors: Sequence[Predictor], dataset: PreparedDataset, passes: Passes, show: Show
) -> Outcome:
    held = held_out(outcome.weights, dataset, "test")
    kept = _look(predictors, held, passes, outcome.grid.plain, show)
    gains = measure_gains(kept, held, _rows(outcome), len(predictors))
    return replace(outcome, test=held, gains=tuple(gains))


def _rows(outcome: Outcome) -> list[Row]:
    """Return what is shown on test cases; every value was chosen on validation cases."""
    single, plain = 0 if len(outcome.weights) > 1 else None, Choice(outcome.grid.plain)
    rows = [Row(PLAIN, single, plain)]
    rows += [Row(describe(tried.choice, plain), single, tried.choice) for tried in outcome.alone.values()]
    return [*rows, Row(f"chosen: {describe(outcome.chosen.choice, plain)}", None, outcome.chosen.choice)]
