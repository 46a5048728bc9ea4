"""Hand-worked overlap."""

import math

import pytest

from lungzoo.metrics.contract import MaskPair, measure

NAMES = ("dice", "iou", "precision", "recall", "specificity")


def test_a_shifted_and_larger_prediction(drawn):
    reference = drawn("......", ".####.", ".####.", "......", "......", "......")
    prediction = drawn("......", "..###.", "..###.", "..###.", "..###.", "......")
    # 8 and 12 pixels, 6 shared: TP 6, FP 6, FN 2, TN 36 - 14 = 22.
    expected = {"dice": 12 / 20, "iou": 6 / 14, "precision": 6 / 12, "recall": 6 / 8, "specificity": 22 / 28}
    assert measure(MaskPair(reference, prediction), NAMES) == pytest.approx(expected)


def test_a_reference_without_outside_has_no_specificity(drawn):
    full = drawn("##", "##")
    assert math.isnan(measure(MaskPair(full, full), ["specificity"])["specificity"])
