"""Areas, and DeLong's variance by its definition."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.roc import RocArea, auc, mean_roc_area, roc_area

POSITIVE = np.array([True, True, False, False])
Z = 1.959963984540054


def kernel(positive, score):
    """(m, n): 1 where the positive case wins, ½ for a tie."""
    above, equal = score[positive][:, None] > score[~positive], score[positive][:, None] == score[~positive]
    return above + equal / 2


def variance(*kernels):
    """Covariance of the areas by DeLong et al. 1988, eq. 4 to 6."""
    of_positives = np.atleast_2d(np.cov([found.mean(axis=1) for found in kernels]))
    of_negatives = np.atleast_2d(np.cov([found.mean(axis=0) for found in kernels]))
    m, n = kernels[0].shape
    return of_positives / m + of_negatives / n


def test_four_cases_by_hand():
    # Positives 4 and 2, negatives 3 and 1: three of four pairs are in order. Both positives and both negatives
    # win 1 and ½ of their pairs, variance 1/8 each, so the area has 1/8 / 2 + 1/8 / 2 = 1/8.
    found = roc_area(POSITIVE, np.array([4, 2, 3, 1]))
    assert (found.auc, found.positives, found.negatives) == (0.75, 2, 2)
    assert found.low == pytest.approx(0.75 - Z * math.sqrt(1 / 8))
    assert found.high == 1.0  # cut off


@pytest.mark.parametrize(("score", "expected"), [([2, 2, 1, 1], 1), ([1, 1, 2, 2], 0), ([1, 1, 1, 1], 0.5)])
def test_extremes(score, expected):
    found = roc_area(POSITIVE, np.array(score))
    assert (found.auc, found.low, found.high) == (expected, expected, expected)


def test_infinite_scores_have_their_place():
    assert auc(POSITIVE, np.array([math.inf, 0, -math.inf, 0])) == 3.5 / 4


@pytest.mark.parametrize("levels", [5, 1000], ids=["many-ties", "few-ties"])
def test_agrees_with_the_definition(levels):
    rng = np.random.default_rng(levels)
    for _ in range(50):
        positive = np.append(rng.random(60) < 0.4, [True, True, False, False])
        score = np.round((rng.random(64) + 0.3 * positive) * levels)
        by_pair = kernel(positive, score)
        found = roc_area(positive, score, level=0.5)  # narrow, so that nothing is cut off
        half = 0.6744897501960817 * math.sqrt(variance(by_pair)[0, 0])
        area = by_pair.mean()
        assert (found.auc, found.low, found.high) == pytest.approx((area, area - half, area + half))


def test_intervals_cover_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    positive = np.arange(200) < 80
    true_area = 0.7602499389065233  # of normal scores one apart: Phi(1 / sqrt(2))
    found = [roc_area(positive, rng.normal(size=200) + positive) for _ in range(400)]
    assert np.mean([area.low <= true_area <= area.high for area in found]) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("positive", "expected"),
    [
        ([], RocArea(math.nan, math.nan, math.nan, 0, 0)),
        ([True, True], RocArea(math.nan, math.nan, math.nan, 2, 0)),
        ([False, False], RocArea(math.nan, math.nan, math.nan, 0, 2)),
        ([False, True], RocArea(1.0, math.nan, math.nan, 1, 1)),
    ],
    ids=["no-cases", "positives-only", "negatives-only", "one-of-each"],
)
def test_answers_where_a_class_is_missing(positive, expected):
    score, positive = np.arange(float(len(positive))), np.array(positive, bool)
    assert tuple(vars(roc_area(positive, score)).values()) == pytest.approx(tuple(vars(expected).values()), nan_ok=True)


@pytest.mark.parametrize(
    ("positive", "score", "message"),
    [
        (POSITIVE, [1, math.nan, 2, math.nan], "2 of 4 scores are NaN"),
        (POSITIVE.astype(int), [1, 2, 3, 4], "Received: int64"),
        (POSITIVE, [1, 2, 3], r"Received: bool \(4,\) and scores \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(positive, score, message):
    for compute in (auc, roc_area):
        with pytest.raises(UsageError, match=message):
            compute(positive, np.array(score))


@pytest.mark.parametrize("level", [0, 1, math.nan, 95])
def test_a_level_is_a_share(level):
    with pytest.raises(UsageError, match="level of an interval must be between 0 and 1"):
        roc_area(POSITIVE, np.arange(4), level)


def test_the_mean_of_several_areas():
    rng = np.random.default_rng(5)
    positive = np.append(rng.random(30) < 0.4, [True, True, False, False])
    scores = rng.random((3, 34)) + 0.3 * positive
    found = mean_roc_area(positive, scores, level=0.5)
    kernels = [kernel(positive, score) for score in scores]
    half = 0.6744897501960817 * math.sqrt(variance(*kernels).mean())
    expected = np.mean([each.mean() for each in kernels])
    assert (found.auc, found.low, found.high) == pytest.approx((expected, expected - half, expected + half))
    # Of one score, or of one three times, it is that score's own.
    alone = roc_area(positive, scores[0])
    for same in (scores[:1], scores[[0, 0, 0]]):
        assert vars(mean_roc_area(positive, same)) == pytest.approx(vars(alone))


def test_the_mean_of_areas_without_a_class_is_unknown():
    assert math.isnan(mean_roc_area(np.ones(3, bool), np.zeros((2, 3))).auc)
