"""Hand-worked numbers."""

import math

import numpy as np
import pytest

from lungzoo.losses.bce import bce


def test_undecided(undecided):
    assert float(bce(*undecided)) == pytest.approx(math.log(2), abs=1e-6)


def test_probabilities_of_a_quarter_and_three_quarters():
    mask = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    logits = math.log(3) * np.array([1, -1, -1, -1], "float32").reshape(1, 2, 2, 1)
    # The true class has probability ¾, ¼, ¾, ¾.
    assert float(bce(mask, logits)) == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4, abs=1e-6)


def test_three_classes():
    logits = np.tile(np.array([0, math.log(2), 0], "float32"), (1, 1, 2, 1))  # probabilities ¼, ½, ¼
    mask = np.array([[0, 1, 0], [0, 0, 1]], "float32").reshape(1, 1, 2, 3)
    assert float(bce(mask, logits)) == pytest.approx((math.log(2) + math.log(4)) / 2, abs=1e-6)
