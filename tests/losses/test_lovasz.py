"""Hand-worked numbers."""

import math

import numpy as np
import pytest

from lungzoo.losses.lovasz import lovasz


def test_undecided(undecided):
    # All hinge errors are 1, and with every pixel wrong the Jaccard loss is 1.
    assert float(lovasz(*undecided)) == pytest.approx(1.0, abs=1e-6)


def test_a_false_positive_worse_than_the_lesion(undecided):
    mask, _ = undecided
    logits = np.array([0.5, 0, -1, -3], "float32").reshape(mask.shape)
    # Errors ½ (lesion), 1, 0, 0. The false positive first: Jaccard loss 1 - 1/2, so ½·1; then the lesion: ½ more, ½·½.
    assert float(lovasz(mask, logits)) == pytest.approx(0.75, abs=1e-6)


def test_a_missed_lesion_takes_the_whole_loss(undecided):
    mask, _ = undecided
    logits = np.array([-1, 0, -1, -3], "float32").reshape(mask.shape)
    # Errors 2 (lesion), 1, 0, 0: with the lesion wrong the Jaccard loss is 1 already.
    assert float(lovasz(mask, logits)) == pytest.approx(2.0, abs=1e-6)


def test_softmax(undecided, two_classes):
    mask, _ = undecided
    logits = np.array([0, math.log(3), -60, -60], "float32").reshape(mask.shape)
    # Errors ½ (lesion), ¾, 0, 0: ½·¾ + ½·½.
    assert float(lovasz(*two_classes(mask, logits))) == pytest.approx(0.625, abs=1e-6)


def test_with_certain_answers_it_is_the_jaccard_loss(two_classes):
    mask, answer = np.zeros((1, 4, 4, 1), "float32"), np.zeros((1, 4, 4, 1), "float32")
    mask[0, :2, :3], answer[0, 1:3, :3] = 1, 1
    # 3 pixels in both, 9 in either.
    assert float(lovasz(*two_classes(mask, 120 * answer - 60))) == pytest.approx(1 - 3 / 9, abs=1e-6)
