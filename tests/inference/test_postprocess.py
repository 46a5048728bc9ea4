"""Steps after the model, on masks drawn by hand."""

import numpy as np
import pytest

from lungzoo.errors import ConfigError
from lungzoo.inference.postprocess import (
    PostprocessConfig,
    fill_holes,
    find_lungs,
    keep_largest,
    postprocess,
    remove_small,
    within,
    without_dents,
)
from lungzoo.schema import parse

RING = [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
FULL = [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


def stack(*planes: object) -> np.ndarray:
    return np.array(planes, np.uint8)


def test_holes_are_filled_slice_by_slice() -> None:
    open_below = [[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    mask = stack(RING, open_below)
    filled = fill_holes(mask)
    assert filled.tolist() == [FULL, open_below]
    assert mask.tolist() == [RING, open_below]


def test_a_diagonal_gap_does_not_open_a_hole() -> None:
    diamond = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert fill_holes(stack(diamond)).tolist() == [[[0, 1, 0], [1, 1, 1], [0, 1, 0]]]


def test_small_components_go_by_their_volume() -> None:
    mask = stack([[1, 1, 0, 1, 0, 1]], [[0, 0, 0, 1, 0, 0]], [[0, 0, 0, 1, 0, 0]])  # 2, 3 and 1 voxels
    voxel_mm3 = 0.7 * 0.7 * 2.5
    kept = remove_small(mask, 2 * 0.7 * 0.7 * 2.5, voxel_mm3)
    assert kept.tolist() == [[[1, 1, 0, 1, 0, 0]], [[0, 0, 0, 1, 0, 0]], [[0, 0, 0, 1, 0, 0]]]
    assert remove_small(mask, 2 * voxel_mm3 + 0.01, voxel_mm3).sum() == 3


def test_the_largest_are_kept_and_of_equals_the_lower() -> None:
    mask = stack([[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 1, 1]], [[0, 0, 0, 0]], [[1, 1, 1, 0]])
    assert keep_largest(mask, 2).sum(axis=(1, 2)).tolist() == [2, 0, 0, 0, 3]
    assert keep_largest(mask, 9) is mask


def test_within() -> None:
    mask = stack([[1, 1, 0]])
    assert within(mask, np.array([[[True, False, True]]])).tolist() == [[[1, 0, 0]]]


def test_steps_in_their_order() -> None:
    """The ring's hole is filled before it is measured: 8 voxels become 9; the corner pixel hangs on diagonally."""
    mask = stack(RING)
    assert postprocess(mask, PostprocessConfig(), 1.0) is mask
    config = PostprocessConfig(fill_holes=True, min_volume_mm3=10.0)
    assert postprocess(mask, config, 1.0).tolist() == [FULL]
    mask[0, 3, 3] = 0
    assert not postprocess(mask, config, 1.0).any()  # without the corner 9 voxels are left


def test_settings_are_strict() -> None:
    with pytest.raises(ConfigError, match=r"Unknown key 'lung'\. Did you mean 'lungs'"):
        parse(PostprocessConfig, {"lung": True}, "Manifest")


def chest(side_px: int) -> np.ndarray:
    """A body with two lungs, air around it."""
    y, x = np.mgrid[:side_px, :side_px] / side_px - 0.5
    image = np.full((6, side_px, side_px), -1000, np.int16)
    image[:, (x / 0.45) ** 2 + (y / 0.35) ** 2 < 1] = 40
    for centre in (-0.2, 0.2):
        image[:, ((x - centre) / 0.13) ** 2 + (y / 0.22) ** 2 < 1] = -850
    return image


@pytest.mark.parametrize("side_px", [128, 300])
def test_lungs_of_a_chest(side_px: int) -> None:
    image = chest(side_px)
    found = find_lungs(image, (3.0, 300 / side_px, 300 / side_px))
    assert found.shape == image.shape
    middle, fifth = side_px // 2, side_px * 3 // 10
    assert found[3, middle, fifth]
    assert not found[3, middle, middle]
    assert not found[3, 2, 2]
    true = image == -850
    assert (found & true).sum() * 2 / (found.sum() + true.sum()) > 0.95


def test_a_crop_without_a_pair_of_lungs_counts_as_a_whole() -> None:
    image = np.full((2, 64, 64), 40, np.int16)
    image[:, 30:34, 30:34] = -900
    assert find_lungs(image, (3.0, 1.0, 1.0)).all()


@pytest.mark.parametrize("side_px", [128, 300])
def test_a_tumour_at_the_wall_belongs_to_the_lungs(side_px: int) -> None:
    """Of half a ball of 30 mm at the chest wall nearly half is regained; where no spacing is known its dent stays."""
    image, step = chest(side_px), 300 / side_px
    y, x = np.mgrid[:side_px, :side_px]
    edge = int(np.flatnonzero(image[3, side_px // 2] == -850)[0])
    tumour = (image[3] == -850) & (np.hypot(y - side_px // 2, x - edge) * step < 15)
    image[:, tumour] = 40
    cut = find_lungs(image, (float("nan"),) * 3)
    whole = find_lungs(image, (3.0, step, step))
    assert cut[3][tumour].mean() < 0.05
    assert whole[3][tumour].mean() > 0.4
    assert not whole[3, side_px // 2, side_px // 2]
    assert whole[cut].all()


def test_dents_are_closed_part_by_part() -> None:
    """By a disc of 5 mm on pixels of 1 × 2 mm: a slit of 4 mm, not a dent of 28 mm, and no gap between parts."""
    field = np.zeros((1, 40, 40), bool)
    field[0, :20] = field[0, 24:] = True
    field[0, 5:20, 10:12] = field[0, 10:20, 24:38] = False
    closed = without_dents(field, (1.0, 2.0), 5.0)[0]
    assert closed[5:18, 10:12].all()
    assert not closed[15:20, 28:34].any()
    assert not closed[20:24].any()
    assert closed[field[0]].all()


def test_each_slice_by_itself() -> None:
    """A bar through two slices, a pixel beside it and a pair above: of pixels of 0.5 mm², 1 mm² takes two."""
    mask = stack([[1, 1, 1, 0, 1, 0]], [[1, 1, 1, 0, 0, 0]], [[0, 0, 0, 0, 1, 1]])
    without_the_pixel = [[[1, 1, 1, 0, 0, 0]], [[1, 1, 1, 0, 0, 0]], [[0, 0, 0, 0, 1, 1]]]
    assert postprocess(mask, PostprocessConfig(min_area_mm2=1.0), 1.0, 0.5).tolist() == without_the_pixel
    assert postprocess(mask, PostprocessConfig(largest_per_slice=1), 1.0).tolist() == without_the_pixel
    assert mask[0, 0, 4] == 1
    assert postprocess(mask, PostprocessConfig(largest=1), 1.0)[2].sum() == 0


def test_steps_without_a_spacing() -> None:
    nan = float("nan")
    config = PostprocessConfig(min_area_mm2=1.0, min_volume_mm3=2.0, largest=3)
    assert config.without_unknown((1.0, 1.0, 1.0)) == config
    assert config.without_unknown((nan, 1.0, 1.0)) == PostprocessConfig(min_area_mm2=1.0, largest=3)
    assert config.without_unknown((nan, nan, nan)) == PostprocessConfig(largest=3)
