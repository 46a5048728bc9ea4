"""One pass agrees with one pass per threshold."""

import json
import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.overlap import Overlap, overlap
from lungzoo.metrics.thresholds import THRESHOLDS, ThresholdCounts

PROBABILITY = np.array([[0.9, 0.6], [0.4, 0.1]])
LESION = np.array([[True, False], [True, False]])
EMPTY = np.zeros((2, 2), bool)


def test_hand_worked():
    counts = ThresholdCounts.of(PROBABILITY, LESION, (0.25, 0.5, 0.75)) + ThresholdCounts.of(
        PROBABILITY, EMPTY, (0.25, 0.5, 0.75)
    )
    low, middle, high = counts.curve()
    # Case with a lesion: TP 2, 1, 1, FP 1, 1, 0. Case without: FP 3, 2, 1.
    assert (low.mean_dice, middle.mean_dice, high.mean_dice) == pytest.approx((4 / 5, 2 / 4, 2 / 3))
    assert (low.pooled_dice, middle.pooled_dice, high.pooled_dice) == pytest.approx((4 / 8, 2 / 6, 2 / 4))
    assert (low.pooled_precision, middle.pooled_precision, high.pooled_precision) == pytest.approx(
        (2 / 6, 1 / 4, 1 / 2)
    )
    assert (low.pooled_recall, middle.pooled_recall, high.pooled_recall) == (1, 0.5, 0.5)
    assert [figures.marked_rate for figures in counts.curve()] == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_agrees_with_comparing_at_each_threshold(dtype):
    rng = np.random.default_rng(0)
    probability = rng.choice(np.linspace(0, 1, 41), (60, 8, 8)).astype(dtype)  # many equal a threshold
    references = (rng.random((60, 8, 8)) < 0.2) & (np.arange(60) % 4 > 0)[:, None, None]
    parts = [ThresholdCounts.of(*case) for case in zip(probability, references, strict=True)]
    for figures in sum(parts[1:], parts[0]).curve():
        cases = [overlap(r, p >= figures.threshold) for r, p in zip(references, probability, strict=True)]
        dice = [case.dice for case, r in zip(cases, references, strict=True) if r.any()]
        marked = [case.false_positive > 0 for case, r in zip(cases, references, strict=True) if not r.any()]
        pooled = Overlap(*np.sum([list(vars(case).values()) for case in cases], axis=0).tolist())
        assert figures.mean_dice == pytest.approx(np.mean(dice))
        assert figures.marked_rate == pytest.approx(np.mean(marked))
        answers = figures.pooled_dice, figures.pooled_precision, figures.pooled_recall
        assert answers == pytest.approx((pooled.dice, pooled.precision, pooled.recall))


def test_small_lesions_count_into_the_pooled_figures_only():
    counts = ThresholdCounts.of(PROBABILITY, LESION, (0.5,), min_lesion_px=3)
    assert (counts.lesion_cases, counts.empty_cases, counts.lesion_px) == (0, 0, 2)
    assert math.isnan(counts.curve()[0].mean_dice)
    assert counts.curve()[0].pooled_dice == 0.5


@pytest.mark.parametrize(
    ("reference", "probability", "expected"),
    [
        (EMPTY, 0 * PROBABILITY, (math.nan, 0, math.nan, math.nan, math.nan)),
        (EMPTY, PROBABILITY, (math.nan, 1, 0, 0, math.nan)),
        (LESION, 0 * PROBABILITY, (0, math.nan, 0, 0, 0)),
    ],
    ids=["both-empty", "reference-empty", "prediction-empty"],
)
def test_answers_for_empty_masks(reference, probability, expected):
    figures = ThresholdCounts.of(probability, reference, (0.5,)).curve()[0]
    assert tuple(vars(figures).values())[1:] == pytest.approx(expected, nan_ok=True)


def test_goes_through_json():
    counts = ThresholdCounts.of(PROBABILITY.astype(np.float32), LESION)
    assert ThresholdCounts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts
    assert counts.thresholds == THRESHOLDS == tuple(number / 100 for number in range(5, 100, 5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"marked": None}, "no threshold counts: TypeError"),
        ({"marked": [1]}, "lists differ in length"),
        ({"lesion_px": "many"}, "no threshold counts: ValueError"),
    ],
)
def test_what_is_no_dictionary_of_counts_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        ThresholdCounts.from_dict(ThresholdCounts.of(PROBABILITY, LESION).to_dict() | changes)


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.7, 0.2), (0.0, 0.5), (0.5, 1.0), (math.nan,)])
def test_thresholds_rise_between_0_and_1(thresholds):
    with pytest.raises(UsageError, match=r"Thresholds must rise and lie between 0 and 1. Received"):
        ThresholdCounts.of(PROBABILITY, LESION, thresholds)


def test_other_thresholds_do_not_add_up():
    with pytest.raises(UsageError, match="do not add up"):
        ThresholdCounts.of(PROBABILITY, LESION, (0.5,)) + ThresholdCounts.of(PROBABILITY, LESION, (0.6,))
