"""Tiles, windows along z, and how their answers are blended."""

import numpy as np
import pandas as pd
import pytest

from lungzoo.data.pipeline import neighbours
from lungzoo.inference.windows import Blend, Tile, centres, make_tiles, ramp


def stacks(z: list[int], depth: int) -> np.ndarray:
    return neighbours(pd.Series(["scan"] * len(z)), pd.Series(z), depth)


def test_ramp() -> None:
    assert ramp(3).tolist() == [0.5, 1.0, 0.5]
    assert ramp(4).tolist() == [0.4, 0.8, 0.8, 0.4]


@pytest.mark.parametrize("tile_px", [None, 512, 100, 64, 33])
def test_tiles_cover_their_box_and_nothing_else(tile_px: int | None) -> None:
    box = (slice(32, 132), slice(64, 214))
    cover = np.zeros((256, 256))
    for tile in make_tiles(box, tile_px):
        cover[tile.rows, tile.columns] += tile.weight
    assert (cover[box] > 0).all()
    cover[box] = 0
    assert not cover.any()


def test_a_slice_that_is_taken_whole_is_one_tile_of_weight_one() -> None:
    (tile,) = make_tiles((slice(0, 40), slice(0, 50)), 64)
    assert (tile.rows, tile.columns) == (slice(0, 40), slice(0, 50))
    assert (tile.weight == 1).all()


def test_tiles_overlap_by_a_quarter() -> None:
    starts = sorted({tile.columns.start for tile in make_tiles((slice(0, 8), slice(0, 100)), 40)})
    assert starts == [0, 30, 60]


def test_every_slice_is_a_centre_of_its_own_in_2d() -> None:
    assert centres(np.array([True, False, True]), stacks([0, 1, 2], 1)).tolist() == [0, 2]


@pytest.mark.parametrize("z", [list(range(11)), [0, 1, 2, 7, 8, 20], [3]])
@pytest.mark.parametrize("depth", [3, 5, 9])
def test_windows_reach_every_wanted_slice(z: list[int], depth: int) -> None:
    around = stacks(z, depth)
    wanted = np.arange(len(z)) % 4 != 1
    chosen = centres(wanted, around)
    assert set(np.flatnonzero(wanted)) <= set(around[chosen].ravel().tolist())


def test_windows_advance_by_half_their_depth_and_end_with_the_run() -> None:
    assert centres(np.ones(12, bool), stacks(list(range(12)), 5)).tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert centres(np.arange(12) == 9, stacks(list(range(12)), 5)).tolist() == [8, 10, 11]


def test_overlapping_answers_are_weighed() -> None:
    blend = Blend((1, 3))
    left = Tile(slice(0, 1), slice(0, 2), np.array([[1.0, 0.5]], np.float32))
    right = Tile(slice(0, 1), slice(1, 3), np.array([[0.5, 1.0]], np.float32))
    blend.add(4, left, np.array([[0.2, 0.4]], np.float32))
    blend.add(4, right, np.array([[0.8, 0.6]], np.float32))
    assert list(blend.ready(4)) == []
    ((row, answer),) = blend.ready(5)
    assert row == 4
    assert answer == pytest.approx(np.array([[0.2, 0.6, 0.6]]))
    assert list(blend.ready(99)) == []


def test_where_nothing_was_looked_at_there_is_no_lesion() -> None:
    blend = Blend((1, 2))
    blend.add(0, Tile(slice(0, 1), slice(0, 1), np.ones((1, 1), np.float32)), np.array([[0.7]], np.float32))
    ((_, answer),) = blend.ready(1)
    assert answer.tolist() == [[pytest.approx(0.7), 0.0]]
