"""Hand-worked sums."""

import math

import numpy as np
import pytest

from lungzoo.metrics.pair import MaskPair
from lungzoo.metrics.pooled import PooledOverlap


def test_two_cases(drawn):
    large = MaskPair(drawn("####", "####"), drawn("###.", "###."))  # TP 6, FN 2
    small = MaskPair(drawn("#...", "...."), drawn("..##", "...."))  # FP 2, FN 1, TN 5
    pooled = PooledOverlap.of(large) + PooledOverlap.of(small)
    assert pooled == PooledOverlap(6, 2, 3, 5, 2)
    assert pooled.figures() == pytest.approx(
        {
            "pooled_dice": 12 / 17,
            "pooled_iou": 6 / 11,
            "pooled_precision": 6 / 8,
            "pooled_recall": 6 / 9,
            "pooled_specificity": 5 / 7,
        }
    )


def test_nothing_is_the_neutral_element(drawn):
    counts = PooledOverlap.of(MaskPair(drawn("#."), drawn(".#")))
    assert counts + PooledOverlap() == counts
    assert all(math.isnan(value) for value in PooledOverlap().figures().values())


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [(0, 0, (math.nan,) * 4 + (1,)), (0, 1, (0, 0, 0, math.nan, 3 / 4)), (1, 0, (0, 0, 0, 0, 1))],
    ids=["both-empty", "reference-empty", "prediction-empty"],
)
def test_answers_for_empty_masks(reference, prediction, expected):
    masks = np.zeros((2, 2), bool), np.array([[True, False], [False, False]])
    figures = PooledOverlap.of(MaskPair(masks[reference], masks[prediction])).figures()
    assert tuple(figures.values()) == pytest.approx(expected, nan_ok=True)
