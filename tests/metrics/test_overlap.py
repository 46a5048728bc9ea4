"""Hand-worked masks."""

import math

import numpy as np
import pytest

from lungzoo.metrics.overlap import overlap

EMPTY = np.zeros((6, 6), bool)


def drawn(*lines: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in line] for line in lines])


REFERENCE = drawn("......", ".####.", ".####.", "......", "......", "......")
SHIFTED = drawn("......", "..####", "..####", "......", "......", "......")


def test_two_rectangles_that_share_three_columns():
    counts = overlap(REFERENCE, SHIFTED)  # 8 pixels each, 6 shared
    assert (counts.true_positive, counts.false_positive, counts.false_negative) == (6, 2, 2)
    assert counts.dice == pytest.approx(12 / 16)
    assert counts.iou == pytest.approx(6 / 10)
    assert counts.precision == pytest.approx(6 / 8)
    assert counts.recall == pytest.approx(6 / 8)


def test_a_prediction_inside_the_reference():
    inside = drawn("......", ".##...", "......", "......", "......", "......")
    counts = overlap(REFERENCE, inside)
    assert counts.dice == pytest.approx(4 / 10)
    assert counts.precision == 1.0
    assert counts.recall == pytest.approx(2 / 8)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        (EMPTY, EMPTY, {"dice": math.nan, "iou": math.nan, "precision": math.nan, "recall": math.nan}),
        (EMPTY, SHIFTED, {"dice": 0, "iou": 0, "precision": 0, "recall": math.nan}),
        (REFERENCE, EMPTY, {"dice": 0, "iou": 0, "precision": 0, "recall": 0}),
    ],
    ids=["both-empty", "reference-empty", "prediction-empty"],
)
def test_answers_for_empty_masks(reference, prediction, expected):
    counts = overlap(reference, prediction)
    for name, value in expected.items():
        assert getattr(counts, name) == pytest.approx(value, nan_ok=True), name


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"reference \(6, 6\), prediction \(5, 6\)"):
        overlap(EMPTY, EMPTY[:5])
