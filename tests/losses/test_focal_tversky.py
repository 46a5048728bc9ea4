"""Hand-worked numbers."""

import numpy as np
import pytest

from lungzoo.losses.focal_tversky import focal_tversky
from lungzoo.losses.tversky import tversky


def test_undecided(undecided):
    # Tversky's loss is 4/9, gamma = 4/3.
    assert float(focal_tversky(*undecided)) == pytest.approx((4 / 9) ** 0.75, abs=1e-6)
    assert float(focal_tversky(*undecided, gamma=2.0)) == pytest.approx(2 / 3, abs=1e-6)


def test_gamma_one_is_tversky(undecided):
    assert float(focal_tversky(*undecided, gamma=1.0)) == pytest.approx(float(tversky(*undecided)), abs=1e-6)


def test_a_perfect_answer_has_a_finite_gradient(undecided, value_and_gradient):
    mask, _ = undecided
    value, gradient = value_and_gradient(focal_tversky, mask, 200 * mask - 100)
    assert value == pytest.approx(1e-6**0.75, rel=1e-3)
    assert np.isfinite(gradient).all()
