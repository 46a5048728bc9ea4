"""A slice and its region through a model's preprocessing, and a map back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lungzoo.config import DataConfig
from lungzoo.data.preprocess.grid import Grid
from lungzoo.errors import UsageError
from lungzoo.explain.contract import Subject
from lungzoo.explain.shown import _nearest, show
from lungzoo.inference.predictor import Predictor


@pytest.fixture
def coarse(bright: Predictor) -> Predictor:
    """Looks at slices of 1 mm through a grid of 2 mm, a square that holds all of a slice."""
    return replace(bright, protocol=replace(bright.protocol, data=DataConfig(size_px=32, spacing_mm=2.0)))


def test_image_and_region_take_the_same_steps_and_the_map_comes_back(
    coarse: Predictor, subject_of: Callable[..., Subject]
) -> None:
    image = np.zeros((40, 60), np.uint8)
    image[10:20, 30:44] = 255
    shown = show(subject_of([coarse], image, image > 0, spacing_mm=(1.0, 1.0, 1.0)))
    assert shown.spacing_mm == (2.0, 2.0)
    assert shown.image.shape == (1, 30, 30, 1)
    assert np.array_equal(shown.image[0, ..., 0] > 0.5, shown.region)
    assert shown.region.sum() == 35
    back = shown.back(shown.region.astype(np.float32))
    assert back.shape == image.shape
    assert back[12:18, 32:42].min() == pytest.approx(1)
    assert back[:8].max() == 0


def test_what_was_not_looked_at_stays_unknown(coarse: Predictor, subject_of: Callable[..., Subject]) -> None:
    image = np.full((40, 60), 90, np.uint8)
    region = image > 0
    shown = show(subject_of([coarse], image, region, spacing_mm=(1.0, 1.0, 1.0)))
    values = np.ones((30, 30), np.float32)
    values[:, 15:] = np.nan
    back = shown.back(values)
    assert np.isnan(back[:, 40:]).all()
    assert back[10:30, 5:25] == pytest.approx(1)


def test_a_region_too_small_for_the_models_grid_is_its_nearest_pixel(
    coarse: Predictor, subject_of: Callable[..., Subject]
) -> None:
    """The grid's 30 pixels of 2 mm lie around the middle, (19.5, 29.5): row 15 at 20.5, column 9 at 18.5."""
    image, region = np.zeros((40, 60), np.uint8), np.zeros((40, 60), bool)
    region[21, 18] = True
    shown = show(subject_of([coarse], image, region, spacing_mm=(1.0, 1.0, 1.0)))
    assert np.argwhere(shown.region).tolist() == [[15, 9]]


def test_a_region_outside_of_the_models_grid_is_told() -> None:
    region = np.zeros((40, 60), bool)
    region[3, 3] = True
    grid = Grid((20.0, 20.0), (2.0, 2.0), (8, 8), (40, 60))
    with pytest.raises(UsageError, match=r"The region lies outside of what 'some' looks at, .*--at"):
        _nearest(region, grid, "some")
