from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from lungzoo.statistics.permutation import holm, saddlepoint_p, sign_flip_p, signed_ranks, smallest_p


def enumerated(differences: np.ndarray) -> float:
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    return float(np.mean(np.array(sums) >= abs(differences.sum()) - 1e-9))


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        # ±1 ±2 ±3 reaches 6 or −6 in two of eight ways.
        ([1.0, 2.0, 3.0], 0.25),
        # ±3 ±1 ±1 is 5, 3, 3, 1 and their negatives.
        ([3.0, 1.0, -1.0], 0.75),
        ([1.0, 2.0, -3.0], 1.0),
        ([1.0, 0.0, 2.0, 3.0], 0.25),
        ([0.0, 0.0], 1.0),
        # Five patients cannot reach 5%.
        ([0.1, 0.2, 0.1, 0.3, 0.2], 0.0625),
    ],
)
def test_exact_by_hand(differences, p):
    assert sign_flip_p(np.array([differences]), 100, seed=0)[0] == p


def test_random_signs_agree_with_all_signs():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, (6, 14))
    exact = np.array([enumerated(row) for row in differences])
    assert sign_flip_p(differences, 20_000, seed=1) == pytest.approx(exact, abs=0.012)


def test_saddlepoint_agrees_with_all_signs_where_draws_are_too_few():
    rng = np.random.default_rng(1)
    differences = rng.gamma(1.0, 1, (8, 16)) * np.where(rng.random((8, 16)) < 0.1, -1, 1)
    exact = np.array([enumerated(row) for row in differences])
    assert exact.min() < 1e-4
    # 500 draws cannot say 0.0001; correction over a thousand pairs needs it.
    rare = exact < 0.02
    assert sign_flip_p(differences, 500, seed=0)[rare] == pytest.approx(exact[rare], rel=0.05)
    middle = (exact > 1e-3) & (exact < 0.2)
    approximate = saddlepoint_p(np.abs(differences), np.abs(differences.sum(axis=1)))
    assert approximate[middle] == pytest.approx(exact[middle], rel=0.1)


def test_no_probability_is_below_that_of_all_signs_alike():
    assert sign_flip_p(np.full((1, 20), 0.1), 1000, seed=0)[0] == pytest.approx(smallest_p(20), rel=1e-6)
    assert smallest_p(5) == 0.0625
    assert smallest_p(0) == 1.0


def test_order_of_patients_does_not_matter():
    differences = np.random.default_rng(2).normal(0.1, 1, (4, 30))
    shuffled = differences[:, np.random.default_rng(3).permutation(30)]
    assert np.array_equal(sign_flip_p(differences, 1000, 0), sign_flip_p(shuffled, 1000, 0))


def test_signed_ranks_by_hand():
    assert signed_ranks(np.array([[0.0, -2.0, 1.0, 2.0]])).tolist() == [[0.0, -2.5, 1.0, 2.5]]


def test_signs_of_ranks_are_the_wilcoxon_test():
    rows = np.random.default_rng(4).normal(0.5, 1, (5, 9))
    expected = [wilcoxon(row, method="exact").pvalue for row in rows]
    assert sign_flip_p(signed_ranks(rows), 100, seed=0) == pytest.approx(np.array(expected))


def test_holm_by_hand():
    # Sorted 0.005·4, 0.01·3, 0.03·2, 0.04·1, never falling.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx(np.array([0.03, 0.06, 0.06, 0.02]))
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
