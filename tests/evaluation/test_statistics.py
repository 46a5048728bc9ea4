import math

import numpy as np
import pytest

from lungzoo.evaluation.statistics import patient_bootstrap


def test_mean_and_counts():
    interval = patient_bootstrap(np.array([0.2, 0.4, np.nan, 0.9]), np.array(["a", "a", "b", "c"]), 500, seed=0)
    assert interval.mean == pytest.approx(0.5)
    assert (interval.cases, interval.patients) == (3, 2)
    assert interval.low <= interval.mean <= interval.high


def test_two_patients_by_hand():
    # Draws of two patients give means 0 (aa), 0.5 (ab), 1 (bb) with probabilities 1/4, 1/2, 1/4.
    interval = patient_bootstrap(np.array([0.0, 1.0]), np.array(["a", "b"]), 4000, seed=1)
    assert (interval.low, interval.high) == (0.0, 1.0)
    inner = patient_bootstrap(np.array([0.0, 1.0]), np.array(["a", "b"]), 4000, seed=1, level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_slices_of_one_patient_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    means = rng.normal(0.7, 0.1, 40)
    single = patient_bootstrap(means, np.arange(40), 2000, seed=0)
    repeated = patient_bootstrap(np.repeat(means, 25), np.repeat(np.arange(40), 25), 2000, seed=0)
    assert repeated.high - repeated.low == pytest.approx(single.high - single.low, rel=1e-9)
    naive = patient_bootstrap(np.repeat(means, 25), np.arange(1000), 2000, seed=0)
    assert naive.high - naive.low < 0.3 * (single.high - single.low)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for study in range(300):
        effects = rng.normal(0.7, 0.1, 60)
        values = (effects[:, None] + rng.normal(0, 0.05, (60, 4))).ravel()
        interval = patient_bootstrap(values, np.repeat(np.arange(60), 4), 400, seed=study)
        covered += interval.low <= 0.7 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_one_patient_has_a_mean_but_no_interval():
    interval = patient_bootstrap(np.array([0.2, 0.4]), np.array(["a", "a"]), 500, seed=0)
    assert interval.mean == pytest.approx(0.3)
    assert math.isnan(interval.low)


def test_nothing_to_average():
    interval = patient_bootstrap(np.array([np.nan]), np.array(["a"]), 500, seed=0)
    assert math.isnan(interval.mean)
    assert interval.cases == 0
