"""Hand-worked numbers."""

import math

import numpy as np
import pytest

from lungzoo.losses.bce import bce
from lungzoo.losses.focal import focal


def test_undecided(undecided):
    # Each pixel has (1 - ½)² ln 2; one weighs ¼, three weigh ¾: mean weight ⅝.
    assert float(focal(*undecided)) == pytest.approx(5 / 8 / 4 * math.log(2), abs=1e-6)


def test_gamma_zero_is_weighted_cross_entropy(undecided):
    mask, _ = undecided
    logits = np.array([1.5, -0.5, 0.25, 2], "float32").reshape(mask.shape)
    assert float(focal(mask, logits, gamma=0.0, alpha=0.5)) == pytest.approx(float(bce(mask, logits)) / 2, rel=1e-6)


def test_three_classes():
    logits = np.tile(np.array([0, math.log(2), 0], "float32"), (1, 1, 2, 1))  # probabilities ¼, ½, ¼
    mask = np.array([[1, 0, 0], [0, 1, 0]], "float32").reshape(1, 1, 2, 3)
    # Background: ¾ (¾)² ln 4; lesion: ¼ (½)² ln 2.
    expected = (27 / 64 * math.log(4) + 1 / 16 * math.log(2)) / 2
    assert float(focal(mask, logits)) == pytest.approx(expected, abs=1e-6)
