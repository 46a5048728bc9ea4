"""Crops lie where the lesion is, and keep image and mask together."""

import numpy as np
import pytest

from lungzoo.classifiers.contract import Lesion, lesion_of
from lungzoo.classifiers.crops import MARGIN_PX, changed, crop_of, middle


def lesion_at(row: int, column: int, side: int = 32) -> Lesion:
    image = np.zeros((side, side), np.float32)
    image[row, column] = 1
    return Lesion(image, image > 0, (1.0, 1.0))


@pytest.mark.parametrize("place", [(16, 16), (0, 31), (31, 0)])
def test_the_lesion_is_in_the_middle_wherever_it_lies(place):
    crop = crop_of(lesion_at(*place), 8)
    assert crop.shape == (8 + 2 * MARGIN_PX, 8 + 2 * MARGIN_PX, 2)
    assert np.argwhere(crop[..., 1] > 0).tolist() == [[8, 8]]
    assert crop[8, 8, 0] == 1
    assert middle(crop[None])[0, 4, 4].tolist() == [1, 1]


def test_beyond_the_slice_its_edge_repeats_and_nothing_is_marked():
    crop = crop_of(lesion_at(0, 16), 8)
    assert crop[:9, 8, 0].tolist() == [1] * 9
    assert crop[..., 1].sum() == 1


def test_changes_move_image_and_mask_alike_and_are_those_of_the_seed():
    crops = np.stack([crop_of(lesion_at(16, 16), 16)] * 50)
    found = changed(crops, np.random.default_rng(3))
    assert found.shape == (50, 16, 16, 2)
    assert (found == changed(crops, np.random.default_rng(3))).all()
    places = {tuple(np.argwhere(crop[..., 1] > 0)[0]) for crop in found}
    assert len(places) > 10
    for crop in found:
        ((row, column),) = np.argwhere(crop[..., 1] > 0)
        assert crop[row, column, 0] == crop[..., 0].max() > 0.9


def test_the_largest_component_is_the_lesion():
    mask = np.zeros((9, 9), bool)
    mask[0, 0] = mask[4, 4] = mask[5, 5] = True  # the last two touch diagonally
    found = lesion_of(np.full((9, 9), 51, np.uint8), mask, np.array([0.5, np.nan]))
    assert found is not None
    assert np.argwhere(found.mask).tolist() == [[4, 4], [5, 5]]
    assert found.image[0, 0] == np.float32(0.2)
    assert found.spacing_mm[0] == 0.5
    assert lesion_of(np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool), (1, 1)) is None
