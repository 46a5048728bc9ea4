"""The masks of a case and what is computed of them."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.pair import MaskPair, bounding_box

EMPTY = np.zeros((6, 6), bool)


def test_counts(drawn):
    reference = drawn("......", ".####.", ".####.", "......", "......", "......")
    prediction = drawn("......", "..###.", "..###.", "..###.", "......", "......")
    pair = MaskPair(reference, prediction)
    assert (pair.reference_px, pair.prediction_px, pair.true_negative) == (8, 9, 36 - 11)
    assert vars(pair.overlap) == {"true_positive": 6, "false_positive": 3, "false_negative": 2}
    assert pair.box == (slice(1, 4), slice(1, 5))


def test_pixels_have_a_size_and_the_image_a_diagonal():
    pair = MaskPair(EMPTY, EMPTY, (2, 0.5))
    assert pair.spacing_mm == (2.0, 0.5)
    assert pair.pixel_size == 1.0
    assert pair.diagonal_mm == pytest.approx(math.sqrt(12**2 + 3**2))


def test_without_a_spacing_nothing_is_in_millimetres(drawn):
    mask = drawn("......", ".####.", "......", "......", "......", "......")
    pair = MaskPair(mask, mask)
    assert math.isnan(pair.pixel_size)
    assert math.isnan(pair.diagonal_mm)
    assert pair.surface_distances is None


def test_surfaces_and_lesions_are_computed_once(drawn):
    mask = drawn("......", ".####.", "......", "......", "......", "......")
    pair = MaskPair(mask, mask, (1, 1))
    assert pair.surface_distances is pair.surface_distances
    assert pair.lesions is pair.lesions
    assert pair.overlap is pair.overlap


def test_the_box_of_nothing_is_empty():
    assert EMPTY[bounding_box(EMPTY)].shape == (0, 0)


@pytest.mark.parametrize(
    ("reference", "prediction", "spacing_mm", "message"),
    [
        (EMPTY, EMPTY[:5], None, r"reference \(6, 6\), prediction \(5, 6\)"),
        (EMPTY, EMPTY.astype(float), None, "prediction must be a boolean array. Received: float64"),
        (EMPTY.tolist(), EMPTY, None, "reference must be a boolean array. Received: list"),
        (EMPTY[0], EMPTY[0], None, r"must be \(H, W\) or \(D, H, W\).* Received: \(6,\)"),
        (EMPTY[:, :0], EMPTY[:, :0], None, r"at least one pixel. Received: \(6, 0\)"),
        (EMPTY, EMPTY, (1.0, math.nan), "2 numbers above 0, in mm, .*nan.*give None"),
        (EMPTY, EMPTY, (1.0, 0.0), "2 numbers above 0"),
        (EMPTY, EMPTY, (1.0, -1.0), "2 numbers above 0"),
        (EMPTY, EMPTY, (1.0, math.inf), "2 numbers above 0"),
        (EMPTY, EMPTY, (1.0,), r"2 numbers above 0.*\(1.0,\)"),
        (EMPTY, EMPTY, (1.0, None), "2 numbers above 0"),
        (EMPTY, EMPTY, 1.0, "2 numbers above 0"),
    ],
)
def test_what_does_not_fit_is_refused(reference, prediction, spacing_mm, message):
    with pytest.raises(UsageError, match=message):
        MaskPair(reference, prediction, spacing_mm)
