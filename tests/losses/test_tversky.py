"""Hand-worked numbers."""

import pytest

from lungzoo.losses.dice import dice
from lungzoo.losses.jaccard import jaccard
from lungzoo.losses.tversky import tversky


def test_undecided(undecided):
    # (½ + ½) / (½ + 0.3·1½ + 0.7·½ + ½) = 1 / 1.8.
    assert float(tversky(*undecided)) == pytest.approx(4 / 9, abs=1e-6)


def test_alpha_prices_false_positives(undecided):
    # (½ + ½) / (½ + 0.9·1½ + 0.1·½ + ½) = 1 / 2.4.
    assert float(tversky(*undecided, alpha=0.9, beta=0.1)) == pytest.approx(1.4 / 2.4, abs=1e-6)


def test_dice_and_jaccard_are_its_special_cases(undecided):
    assert float(tversky(*undecided, alpha=0.5, beta=0.5)) == pytest.approx(float(dice(*undecided)), abs=1e-7)
    assert float(tversky(*undecided, alpha=1.0, beta=1.0)) == pytest.approx(float(jaccard(*undecided)), abs=1e-7)
