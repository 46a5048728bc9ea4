"""Surface distances against hand-worked numbers and against all pairwise distances."""

import math

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from lungzoo.metrics.surface import surface_distances, surface_of


def test_the_surface_is_the_rim(drawn):
    mask = drawn("......", ".####.", ".####.", ".####.", ".####.", "......")
    assert (surface_of(mask) == drawn("......", ".####.", ".#..#.", ".#..#.", ".####.", "......")).all()


def test_diagonal_neighbours_do_not_make_a_surface(drawn):
    mask = drawn("#####", "#####", "#####", "#####", "####.")
    assert (surface_of(mask) == drawn("#####", "#...#", "#...#", "#...#", "####.")).all()
    notched = np.pad(mask, ((1, 0), (1, 0)), constant_values=True)
    assert not surface_of(notched)[4, 4]  # it touches the notch with a corner only


@pytest.mark.parametrize("shape", [(9, 11), (5, 7, 6)])
def test_the_surface_is_the_mask_without_its_erosion(shape, blobs):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = blobs(rng, shape)
        assert (surface_of(mask) == (mask ^ binary_erosion(mask))).all()


def test_a_square_and_a_pixel(drawn):
    square = drawn("......", ".####.", ".####.", ".####.", ".####.", "......")
    pixel = drawn("#.....", "......", "......", "......", "......", "......")
    distances = surface_distances(square, pixel, (1.0, 1.0))
    # The rim has 12 pixels, at sqrt(r² + c²) from the corner.
    rim = np.sqrt([2, 5, 5, 10, 10, 17, 17, 20, 20, 25, 25, 32])
    assert sorted(distances.from_reference) == pytest.approx(rim)
    assert distances.from_prediction == pytest.approx([math.sqrt(2)])
    assert distances.hausdorff_mm() == pytest.approx(math.sqrt(32))
    # The 95th percentile is at 0.95 · 11 = 10.45: between 5 and sqrt(32).
    assert distances.hausdorff_mm(95) == pytest.approx(5 + 0.45 * (math.sqrt(32) - 5))
    assert distances.average_mm() == pytest.approx((rim.sum() + math.sqrt(2)) / 13)
    assert distances.share_within(2.0) == pytest.approx(2 / 13)  # sqrt(2) from either side


def test_a_distance_equal_to_the_tolerance_is_within_it(drawn):
    left, right = drawn("#.......", "........"), drawn("...#....", "........")
    assert surface_distances(left, right, (0.1, 0.1)).share_within(0.3) == 1.0  # 3 · 0.1 > 0.3 in floating point


def all_pairs(reference, prediction, spacing_mm):
    """HD, HD95, ASSD and NSD at 2 mm by the definition, from every pair of surface pixels."""
    points = [np.argwhere(mask & ~binary_erosion(mask)) * spacing_mm for mask in (reference, prediction)]
    pairwise = cdist(*points)
    forth, back = pairwise.min(axis=1), pairwise.min(axis=0)
    both = np.concatenate([forth, back])
    hd95 = max(np.quantile(forth, 0.95), np.quantile(back, 0.95))
    return max(forth.max(), back.max()), hd95, both.mean(), (both <= 2.0).mean()


@pytest.mark.parametrize(("shape", "pairs"), [((16, 21), 250), ((8, 11, 9), 250)], ids=["2D", "3D"])
def test_agrees_with_all_pairwise_distances(shape, pairs, blobs):
    rng = np.random.default_rng(len(shape))
    for _ in range(pairs):
        reference, prediction = blobs(rng, shape), blobs(rng, shape)
        spacing_mm = tuple(rng.uniform(0.3, 5.0, len(shape)))
        found = surface_distances(reference, prediction, spacing_mm)
        answers = found.hausdorff_mm(), found.hausdorff_mm(95), found.average_mm(), found.share_within(2.0)
        assert answers == pytest.approx(all_pairs(reference, prediction, spacing_mm), abs=1e-9)
