"""Hand-worked numbers."""

import numpy as np
import pytest

from lungzoo.losses.dice import dice


def test_undecided(undecided):
    # (2·½ + 1) / (1 + 2 + 1) = ½.
    assert float(dice(*undecided)) == pytest.approx(0.5, abs=1e-6)


def test_missed():
    mask = np.zeros((1, 4, 4, 1), "float32")
    mask[0, :2, :2] = 1
    assert float(dice(mask, np.full_like(mask, -60))) == pytest.approx(1 - 1 / 5, abs=1e-6)


def test_each_class_is_averaged_over_its_own_cases():
    labels = np.array([[[1, 0], [0, 0]], [[1, 2], [2, 0]]])
    mask = np.eye(3, dtype="float32")[labels]
    found = np.array([[[1, 0], [0, 0]], [[0, 2], [0, 0]]])
    logits = 60 * np.eye(3, dtype="float32")[found]
    # Class 1: found in the first case (Dice 1), missed in the second ((0 + 1) / (1 + 0 + 1) = ½): loss ¼.
    # Class 2, in the second case only: half found, (2·1 + 1) / (2 + 1 + 1) = ¾: loss ¼.
    assert float(dice(mask, logits)) == pytest.approx((1 / 4 + 1 / 4) / 2, abs=1e-6)


def test_a_class_that_no_case_has_does_not_count(undecided, two_classes):
    mask, logits = two_classes(*undecided)
    absent = np.zeros((1, 2, 2, 1), "float32")
    mask, logits = np.concatenate([mask, absent], -1), np.concatenate([logits, absent - 60], -1)
    assert float(dice(mask, logits)) == pytest.approx(0.5, abs=1e-6)
