"""Hand-worked numbers."""

import math

import numpy as np
import pytest

from lungzoo.losses.log_cosh_dice import log_cosh_dice


def test_undecided(undecided):
    # Dice = ½, as in test_dice.
    assert float(log_cosh_dice(*undecided)) == pytest.approx(math.log(math.cosh(0.5)), abs=1e-6)


def test_taken_per_case(undecided):
    mask, logits = undecided
    both = np.concatenate([logits, 120 * mask - 60])  # the second case is right
    expected = math.log(math.cosh(0.5)) / 2
    assert float(log_cosh_dice(np.concatenate([mask, mask]), both)) == pytest.approx(expected, abs=1e-6)
