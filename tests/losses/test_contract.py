"""What every registered loss promises."""

import numpy as np
import pytest

from lungzoo.losses import LOSSES

SHAPE = (2, 8, 8, 1)


@pytest.fixture(params=LOSSES.names())
def loss(request):
    return LOSSES.get(request.param)


def square() -> np.ndarray:
    mask = np.zeros(SHAPE, "float32")
    mask[:, 2:6, 2:6] = 1
    return mask


def test_is_documented(loss):
    assert "Source:" in loss.__doc__
    assert "empty" in loss.__doc__


def test_a_right_answer_costs_less_than_a_wrong_one(loss):
    mask = square()
    right, wrong = float(loss(mask, 10 * (2 * mask - 1))), float(loss(mask, -10 * (2 * mask - 1)))
    assert 0 <= right < 0.05 < wrong


def test_is_finite_for_extreme_logits_and_empty_masks(loss):
    for mask in (square(), np.zeros(SHAPE, "float32")):
        for value in (-1e4, 0.0, 1e4):
            assert np.isfinite(float(loss(mask, np.full(SHAPE, value, "float32"))))


def test_gradient_equals_finite_differences(loss):
    import tensorflow as tf

    rng = np.random.default_rng(1)
    mask, logits = square(), rng.normal(size=SHAPE).astype("float32")
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(mask, variable)
    gradient = tape.gradient(value, variable).numpy()
    for place in [(0, 0, 0, 0), (0, 3, 3, 0), (1, 5, 2, 0)]:
        step = np.zeros(SHAPE, "float32")
        step[place] = 1e-2
        slope = (float(loss(mask, logits + step)) - float(loss(mask, logits - step))) / 2e-2
        assert gradient[place] == pytest.approx(slope, rel=0.05, abs=1e-5)
