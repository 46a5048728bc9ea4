"""AUC and balanced accuracy of resampled patients, and how often their interval is right."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.classification import balanced_accuracy, confusion_matrix, macro_auc
from lungzoo.metrics.roc import auc
from lungzoo.statistics.ranking import (
    Resamples,
    auc_draws,
    balanced_accuracy_draws,
    ends_of,
    resampled_p,
    resamples,
)


def two(second: np.ndarray) -> np.ndarray:
    return np.stack([1 - second, second], axis=-1)


def test_the_first_value_is_that_of_the_cases_as_they_are():
    rng = np.random.default_rng(0)
    true, chances = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), (2, 40))
    drawn = resamples(np.arange(40), 100)
    areas, accuracies = auc_draws(true, chances, drawn), balanced_accuracy_draws(true, chances, drawn)
    assert len(areas) == len(accuracies) == 101
    assert areas[0] == pytest.approx(np.mean([macro_auc(true, run) for run in chances]))
    expected = [balanced_accuracy(confusion_matrix(true, run.argmax(axis=1), 3)) for run in chances]
    assert accuracies[0] == pytest.approx(np.mean(expected))


def test_a_resample_is_the_cases_repeated():
    rng = np.random.default_rng(1)
    true, second = rng.integers(0, 2, 30), np.round(rng.random(30), 1)
    drawn = resamples(np.repeat(np.arange(10), 3), 100)
    assert (drawn.weights.reshape(100, 10, 3) == drawn.weights[:, ::3, None]).all()  # patients whole
    assert (drawn.weights[:, ::3].sum(axis=1) == 10).all()
    areas = auc_draws(true, two(second)[None], drawn)
    accuracies = balanced_accuracy_draws(true, two(second)[None], drawn)
    for draw in range(5):
        again = np.repeat(np.arange(30), drawn.weights[draw].astype(int))
        assert areas[1 + draw] == pytest.approx(auc(true[again] == 1, second[again]))
        confusion = confusion_matrix(true[again], (second[again] > 0.5).astype(int), 2)
        assert accuracies[1 + draw] == pytest.approx(balanced_accuracy(confusion))


def test_runs_are_resampled_too():
    true = np.array([0, 1] * 10)
    chances = np.stack([two(true * 1.0), two(1.0 - true)])  # one run is always right, one always wrong
    areas = auc_draws(true, chances, resamples(np.arange(20), 1000))
    assert set(np.round(areas[1:], 6)) == {0.0, 0.5, 1.0}
    assert np.mean(areas[1:] == 0.5) == pytest.approx(0.5, abs=0.06)


def test_runs_of_different_cases():
    true, second = np.array([0, 1, 0, 1]), np.array([[0.1, 0.9, np.nan, np.nan], [np.nan, np.nan, 0.9, 0.1]])
    areas = auc_draws(true, two(second), Resamples(np.ones((1, 4), np.float32), 4, 1, 0))
    assert areas[0] == 0.5


def test_a_class_that_one_fold_lacks_is_left_out_of_that_fold():
    true, chances = np.array([0, 1, 2, 0, 1]), np.full((2, 5, 3), np.nan)
    chances[0, :3] = np.eye(3)  # the first fold has all three classes, and all are right
    chances[1, 3:] = [[0.2, 0.7, 0.1], [0.7, 0.2, 0.1]]  # the second has two, the wrong way round
    every = Resamples(np.ones((1, 5), np.float32), 5, 1, 0)
    assert auc_draws(true, chances, every)[0] == pytest.approx((1 + 0) / 2)
    assert balanced_accuracy_draws(true, chances, every)[0] == pytest.approx((1 + 0) / 2)
    # Drawn without the patients of the second fold, only resamples of the first fold alone have an area.
    first = Resamples(np.tile(np.float32([1, 1, 1, 0, 0]), (50, 1)), 5, 50, 0)
    known = first.picks(2)[:, 1] == 0
    areas = auc_draws(true, chances, first)[1:]
    assert 0 < known.sum() < 50
    assert (areas[known] == 1).all()
    assert np.isnan(areas[~known]).all()


@pytest.mark.parametrize(
    ("draws", "patients", "expected"),
    [
        (np.append(np.full(97, 0.1), [-0.1, -0.1]), 50, 2 * 3 / 100),  # two of 99 on the other side
        (np.full(99, -0.1), 50, 2 * 1 / 100),
        (np.full(99, -0.1), 5, 2 / 32),  # five patients cannot show more
        (np.zeros(99), 50, 1.0),
        (np.append(np.full(60, 0.1), np.full(39, np.nan)), 50, 2 / 61),
        (np.append(np.full(40, 0.1), np.full(59, np.nan)), 50, 1.0),
    ],
)
def test_probabilities_by_hand(draws, patients, expected):
    assert resampled_p(draws, patients) == pytest.approx(expected)


def test_a_small_probability_goes_with_an_interval_without_zero():
    rng = np.random.default_rng(3)
    for shift in np.linspace(0, 0.4, 41):
        draws = rng.normal(shift, 0.1, 1999)
        low, high = ends_of(draws)
        assert (resampled_p(draws, 100) <= 0.05) == (low > 0 or high < 0)


def test_alike_arms_are_told_apart_about_as_often_as_allowed():
    """40 patients with two slices, two scores of each that are as good as one another."""
    rng = np.random.default_rng(11)
    label, owner = np.repeat(np.arange(40) % 2, 2), np.repeat(np.arange(40), 2)
    found = []
    for _ in range(200):
        common = np.repeat(rng.normal(size=40), 2) + label
        drawn = resamples(owner, 200, int(rng.integers(1000)))
        first, second = (auc_draws(label, two(common + rng.normal(0, 0.5, 80))[None], drawn) for _ in range(2))
        found.append(resampled_p((first - second)[1:], drawn.patients) <= 0.05)
    assert np.mean(found) <= 0.09


def test_one_class_has_no_area():
    drawn = resamples(np.arange(4), 100)
    areas = auc_draws(np.ones(4, int), two(np.full((1, 4), 0.5)), drawn)
    assert np.isnan(areas).all()
    assert all(map(math.isnan, ends_of(areas[1:])))


def test_ends():
    assert ends_of(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert all(map(math.isnan, ends_of(np.full(10, 0.5))))


def test_what_does_not_fit_is_told():
    with pytest.raises(UsageError, match=r"Probabilities do not fit the cases\. Received: \(4, 2\) for 4 label\(s\)\."):
        auc_draws(np.zeros(4, int), np.zeros((4, 2)), resamples(np.arange(4), 100))


def test_coverage_with_patients_that_have_several_slices():
    """40 patients with three alike slices: the interval covers the truth about as often as it says."""
    rng = np.random.default_rng(7)
    truth = 0.7602  # Φ(1/√2) for unit normals one apart
    covered = 0
    for _ in range(150):
        label = np.repeat(np.arange(40) % 2, 3)
        score = np.repeat(rng.normal(size=40), 3) + label + rng.normal(0, 1e-3, 120)
        low, high = ends_of(auc_draws(label, two(score)[None], resamples(np.repeat(np.arange(40), 3), 300))[1:])
        covered += low <= truth <= high
    assert 0.87 <= covered / 150 <= 0.99
