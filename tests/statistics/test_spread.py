import math

import numpy as np
import pytest
from scipy.stats import t

from lungzoo.statistics.spread import Spread, pooled, seed_part, spread_of

ONE_FOLD = np.zeros(2, dtype=int)


def test_seeds_that_differ_alike_on_every_patient():
    # Means 0.3 and 0.5: variance 0.02, over two seeds 0.01; no patient moves against the other.
    part = seed_part(np.array([[0.2, 0.4], [0.4, 0.6]]), np.ones((2, 2)), ONE_FOLD)
    assert (part.observed, part.df, part.share) == pytest.approx((0.01, 1, 0.5))
    assert part.shared == pytest.approx(0, abs=1e-12)


def test_seeds_that_differ_on_patients_only():
    # Both means 0.5. Each patient's share of the mean moves by ±0.25: variance 0.125, two patients, ·2/(2−1), /2 seeds.
    part = seed_part(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((2, 2)), ONE_FOLD)
    assert (part.observed, part.shared) == pytest.approx((0, 0.25))


def test_folds_have_networks_of_their_own():
    # Fold 0: means 0.2, 0.4; fold 1: 0.5, 0.5. Each tests half of the cases: 0.25/2 of a variance of 0.02.
    totals = np.array([[0.2, 0.2, 0.5, 0.5], [0.4, 0.4, 0.5, 0.5]])
    part = seed_part(totals, np.ones((2, 4)), np.array([0, 0, 1, 1]))
    assert (part.observed, part.df, part.share) == pytest.approx((0.0025, 2, 0.25))


def test_one_seed_says_nothing():
    part = seed_part(np.ones((1, 3)), np.ones((1, 3)), np.zeros(3, dtype=int))
    assert math.isnan(part.observed)
    assert pooled([part]) is None
    spread = spread_of(np.array([0.01]), np.array([2.0]), [[part]])
    assert spread.over_seeds.tolist() == [False]
    assert spread.seed_widening(np.array(0.025)).tolist() == [0.0]
    assert spread.half_width(np.array(0.025)) == pytest.approx(t.ppf(0.975, 2) * 0.1)


def test_widening_is_the_mean_of_both_bounds():
    spread = Spread(*(np.array([value]) for value in (0.04, 19.0, 0.01, 0.012, 2.0)))
    df = 0.05**2 / (0.012**2 / 2 + 0.04**2 / 19)
    together = t.ppf(0.975, df) ** 2 * 0.05 - t.ppf(0.975, 19) ** 2 * 0.04
    apart = t.ppf(0.975, 2) ** 2 * 0.01
    assert spread.df == pytest.approx(df)
    assert spread.seed_widening(np.array(0.025)) == pytest.approx((together + apart) / 2)


def test_p_is_where_the_interval_reaches_zero():
    spread = Spread(*(np.array([value] * 3) for value in (0.04, 19.0, 0.01, 0.012, 2.0)))
    differences = np.array([0.5, -0.5, 0.0])
    p = spread.p(differences)
    assert p[2] == 1.0
    assert p[0] == p[1]
    assert spread.half_width(p / 2)[0] == pytest.approx(0.5, rel=1e-4)


def test_no_arm_is_more_repeatable_than_the_average():
    calm = seed_part(np.array([[0.30, 0.5], [0.30, 0.5]]), np.ones((2, 2)), ONE_FOLD)
    wild = seed_part(np.array([[0.2, 0.4], [0.4, 0.6]]), np.ones((2, 2)), ONE_FOLD)
    average = pooled([calm, calm, wild, wild])
    assert average is not None
    assert average.observed == pytest.approx(0.01)
    spread = spread_of(np.full(2, 0.01), np.full(2, 9.0), [[calm, calm], [wild, wild]], average)
    # An average training has 0.01; each arm of two seeds 0.005.
    assert spread.seed == pytest.approx(np.array([0.01, 0.02]))
