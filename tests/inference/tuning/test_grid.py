"""Combinations by the short way are those of the real steps, and the rule takes what it says."""

from __future__ import annotations

import numpy as np
import pytest

from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.store import PreparedDataset
from lungzoo.inference.tuning import grid as grids
from lungzoo.inference.tuning.grid import Axes, Grid, plain_place, scored, try_all
from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.tuning.kept import Kept, Pass
from lungzoo.inference.tuning.measure import Parts

SPACING = (2.0, 1.0, 1.5)


def noisy(rng: np.random.Generator, number: int, depth: int, cases: int, with_lesion: bool = True) -> Kept:
    """A scan of noise: some blobs are likely in both passes, some are lesion."""
    shape = (depth, 9, 11)
    lesion = np.zeros(shape, bool)
    lesion[:cases] = (rng.random((cases, 9, 11)) > 0.7) & with_lesion
    lungs = rng.random(shape) > 0.3
    likely = {}
    for flips in (False, True):
        probability = np.clip(0.3 * lesion + rng.random(shape), 0, 1).astype(np.float32)
        places = np.flatnonzero(probability >= 0.6)
        likely[Pass(None, flips)] = (places, probability.ravel()[places])
    numbers, places = np.arange(number, number + cases), np.arange(cases)
    return Kept(numbers, places, shape, SPACING, np.flatnonzero(lesion), np.packbits(lungs), likely)


@pytest.mark.parametrize(("depth", "cases", "per_slice"), [(1, 1, True), (5, 3, False)])
def test_the_short_way_gives_what_the_steps_of_predict_give(
    depth: int, cases: int, per_slice: bool, phantom: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grids, "by_volume", lambda held: not per_slice)
    monkeypatch.setattr(grids, "THRESHOLDS", (0.7, 0.9))
    monkeypatch.setattr(grids, "MIN_AREAS_MM2", (0.0, 4.5))
    monkeypatch.setattr(grids, "MIN_VOLUMES_MM3", (0.0, 9.0))
    rng = np.random.default_rng(0)
    kept = [noisy(rng, scan * cases, depth, cases, with_lesion=scan < 2) for scan in range(3)]
    held = HeldOut("val", phantom, np.arange(3 * cases), DataConfig(), ScoreConfig())
    grid = try_all(kept, held, 0.7, lambda done, total: None)
    assert grid.axes.lungs == (False, True)
    assert (grid.lesion_cases, grid.empty_cases) == (2 * cases, cases)
    assert len(np.unique(grid.dice)) > 30
    for place in np.ndindex(grid.dice.shape):
        tried = grid.at(place)
        again = scored(kept, held, tried.choice, None)
        assert tried.dice == pytest.approx(again.dice), tried.choice
        assert tried.marked == again.marked


def test_what_is_kept_of_components() -> None:
    """Components of 4, 1 and 2 pixels of 0.5 mm² in one case; half of the first and all of the last are lesion."""
    parts = Parts(np.array([4, 1, 2]), np.array([[4, 1, 2]]), np.array([[2, 0, 2]]))
    predicted, hits = parts.totals(0.5, (0.0, 1.0, 2.5), (None, 1))
    assert predicted[..., 0].tolist() == [[7, 4], [6, 4], [0, 0]]
    assert hits[..., 0].tolist() == [[4, 2], [4, 2], [0, 0]]
    assert parts.totals(float("nan"), (9.0,), (None,))[0].tolist() == [[[7]]]  # no spacing, no size


def made(dice: dict[tuple[int, ...], float], marked: dict[tuple[int, ...], int] | None = None) -> Grid:
    axes = Axes((0.4, 0.5, 0.6), (False,), (0.0,), True, largest=(None, 1))
    table, counts = np.full(axes.shape, 0.7), np.full(axes.shape, 3)
    for place, value in dice.items():
        table[place] = value
    for place, count in (marked or {}).items():
        counts[place] = count
    return Grid(axes, 0.5, table, counts, 10, 4)


def test_the_rule() -> None:
    """Places are flips, threshold, lungs, holes, size, most components."""
    plain = plain_place(made({}).axes, 0.5)
    assert made({}).chosen() == made({}).at(plain)  # of equals the fewest steps, and the threshold that was there
    better, best = (0, 0, 0, 0, 0, 0), (1, 2, 0, 1, 0, 1)
    assert made({better: 0.7995, best: 0.8}).chosen().choice.threshold == 0.4  # within 0.001: three steps fewer
    assert made({better: 0.7985, best: 0.8}).chosen().choice.flips
    assert made({better: 0.7995, best: 0.8}, {best: 2}).chosen().choice.flips  # fewer marked cases come first
    choice = made({best: 0.8}).chosen().choice
    assert (choice.threshold, choice.flips, choice.steps.fill_holes, choice.steps.largest_per_slice) == (
        0.6, True, True, 1,
    )  # fmt: skip
