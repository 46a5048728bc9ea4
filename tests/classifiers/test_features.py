"""A few pixels with features worked out by hand."""

import math

import numpy as np
import pytest

from lungzoo.classifiers.contract import Lesion
from lungzoo.classifiers.features import NAMES, RIM_PX, SIZE, features, grey_values, size_and_shape, texture


def box(height: int, width: int, side: int = 16) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[5 : 5 + height, 4 : 4 + width] = True
    return mask


def disc(radius: float, side: int) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return rows**2 + columns**2 <= radius**2


def lesion(mask: np.ndarray, spacing_mm=(1.0, 1.0), image=None) -> Lesion:
    return Lesion(np.zeros(mask.shape, np.float32) if image is None else image.astype(np.float32), mask, spacing_mm)


def test_size_of_a_box():
    # Three rows of 2 mm, four columns of 0.5 mm: 6 mm high, 2 mm wide, its outline 16 mm long.
    found = size_and_shape(lesion(box(3, 4), (2.0, 0.5)))
    assert found["area_px"] == 12
    assert found["area_mm2"] == 12
    assert found["equivalent_diameter_mm"] == pytest.approx(2 * math.sqrt(12 / math.pi))
    assert found["longest_diameter_mm"] == pytest.approx(math.hypot(6, 2))
    assert found["perimeter_mm"] == pytest.approx(4 * math.pi)
    # Standard deviations of 0, 2, 4 mm and of 0, 0.5, 1, 1.5 mm; variances 8/3 and 5/16 with n in the denominator.
    assert found["elongation"] == pytest.approx(math.sqrt(5 / 16 / (8 / 3)))


def test_a_large_disc_is_round():
    found = size_and_shape(lesion(disc(60, 128)))
    assert found["circularity"] == pytest.approx(1, abs=0.02)
    assert found["longest_diameter_mm"] == pytest.approx(120, rel=0.02)
    assert found["elongation"] == pytest.approx(1)


def test_a_lesion_at_the_edge_of_the_slice_ends_there():
    found = size_and_shape(lesion(np.ones((4, 4), bool)))
    assert found["perimeter_mm"] == pytest.approx(4 * math.pi)


def test_without_a_spacing_millimetres_are_unknown_and_shapes_are_not():
    found = size_and_shape(lesion(box(3, 4), (math.nan, math.nan)))
    assert all(math.isnan(found[name]) for name in SIZE if name.endswith(("mm", "mm2")))
    assert found["area_px"] == 12
    assert found["circularity"] == size_and_shape(lesion(box(3, 4)))["circularity"]


def test_one_pixel_has_all_features():
    found = features(lesion(box(1, 1)))
    assert tuple(found) == NAMES
    assert found["longest_diameter_mm"] == pytest.approx(math.sqrt(2))
    assert found["elongation"] == 1
    assert math.isnan(found["texture_energy"])  # it has no neighbour inside


def test_grey_values_inside_and_around():
    mask = box(4, 4)
    image = np.where(mask, 0.75, 0.25)
    image[5, 4] = 0.35
    found = grey_values(lesion(mask, image=image))
    assert found["mean"] == pytest.approx((15 * 0.75 + 0.35) / 16)
    assert found["p50"] == pytest.approx(0.75)
    assert found["rim_mean"] == pytest.approx(0.25)
    assert found["rim_std"] == pytest.approx(0)
    assert found["rim_contrast"] == pytest.approx(found["mean"] - 0.25)
    # Central differences: the step of 0.5 gives 0.25 in the outermost pixels, and nothing inside.
    flat = grey_values(lesion(mask, image=np.where(mask, 0.75, 0.25)))
    assert flat["edge_slope"] == pytest.approx((8 * 0.25 + 4 * math.hypot(0.25, 0.25)) / 12)
    assert flat["slope"] == pytest.approx(flat["edge_slope"] * 12 / 16)


def test_a_lesion_that_fills_the_slice_has_no_rim():
    found = grey_values(lesion(np.ones((4, 4), bool)))
    assert math.isnan(found["rim_mean"])
    assert math.isnan(found["rim_contrast"])


def test_texture_of_a_checkerboard_by_hand():
    # Four pixels of levels 0 and 2: four pairs, all of them (0, 2) or (2, 0), half each.
    image = np.array([[0.0, 0.25], [0.25, 0.0]])
    found = texture(image, np.ones((2, 2), bool))
    assert found == pytest.approx(
        {"texture_contrast": 4, "texture_homogeneity": 1 / 3, "texture_energy": 0.5, "texture_entropy": 1}
    )


def test_texture_of_one_level():
    found = texture(np.full((3, 3), 1.0), np.ones((3, 3), bool))
    assert found == {
        "texture_contrast": 0, "texture_homogeneity": 1, "texture_energy": 1, "texture_entropy": 0
    }  # fmt: skip


@pytest.mark.parametrize("place", [(0, 0), (0, 90), (99, 50), (40, 40), (99 - RIM_PX, RIM_PX)])
def test_what_lies_far_away_is_not_looked_at_and_changes_nothing(place):
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:100, :100]
    mask = (rows - place[0]) ** 2 + 2 * (columns - place[1]) ** 2 <= 60
    image = rng.random((100, 100)).astype(np.float32)
    whole = lesion(mask, (0.7, 0.6), image)
    parts = {**size_and_shape(whole), **grey_values(whole), **texture(image, mask)}
    assert features(whole) == pytest.approx({name: parts[name] for name in NAMES}, rel=1e-12)
