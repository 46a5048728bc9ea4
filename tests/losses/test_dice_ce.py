"""Hand-worked numbers."""

import math

import numpy as np
import pytest

from lungzoo.losses.dice_ce import dice_ce


def test_undecided_everywhere():
    mask = np.zeros((1, 2, 2, 1), "float32")
    mask[0, 0, 0, 0] = 1
    # Probability 1/2 at 4 pixels, 1 of them lesion: Dice = (2·½ + 1) / (1 + 2 + 1) = ½; cross-entropy = ln 2.
    assert float(dice_ce(mask, np.zeros_like(mask))) == pytest.approx(0.5 + math.log(2), abs=1e-6)


def test_empty_and_silent_costs_nothing():
    mask = np.zeros((1, 2, 2, 1), "float32")
    assert float(dice_ce(mask, np.full_like(mask, -30.0))) == pytest.approx(0.0, abs=1e-6)


def test_a_small_lesion_weighs_as_much_as_a_large_one():
    small, large = np.zeros((1, 8, 8, 1), "float32"), np.zeros((1, 8, 8, 1), "float32")
    small[0, 0, 0], large[0, :, :4] = 1, 1
    both = np.concatenate([small, large])
    logits = np.concatenate([60 * small - 30, np.full_like(large, -30.0)])  # the small one found, the large one missed
    # Dice 1 and (0 + 1) / (32 + 0 + 1); cross-entropy 30 at 32 of 128 pixels.
    assert float(dice_ce(both, logits)) == pytest.approx(1 - (1 + 1 / 33) / 2 + 30 * 32 / 128, rel=1e-5)


def test_cases_without_a_lesion_have_no_part_in_dice():
    lesion = np.zeros((1, 8, 8, 1), "float32")
    lesion[0, :2, :2] = 1
    empty = np.zeros_like(lesion)
    silent = np.full((2, 8, 8, 1), -30.0, "float32")
    # Silence misses the one lesion: Dice (0 + 1) / (4 + 0 + 1); cross-entropy 30 at 4 of 128 pixels.
    assert float(dice_ce(np.concatenate([lesion, empty]), silent)) == pytest.approx(1 - 1 / 5 + 30 * 4 / 128, rel=1e-5)
