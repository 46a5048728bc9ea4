"""Hand-worked numbers."""

import numpy as np
import pytest

from lungzoo.losses.dice import dice
from lungzoo.losses.jaccard import jaccard


def test_undecided(undecided):
    # (½ + ½) / (1 + 2 - ½ + ½) = ⅓.
    assert float(jaccard(*undecided)) == pytest.approx(2 / 3, abs=1e-6)


def test_jaccard_follows_from_dice():
    mask = np.zeros((1, 4, 4, 1), "float32")
    mask[0, 1:3, :3] = 1
    logits = np.random.default_rng(0).normal(size=mask.shape).astype("float32")
    overlap = 1 - float(dice(mask, logits))
    assert 1 - float(jaccard(mask, logits)) == pytest.approx(overlap / (2 - overlap), rel=1e-5)
