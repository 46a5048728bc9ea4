"""Hand-worked numbers."""

import numpy as np
import pytest

from lungzoo.losses.hausdorff_dt import hausdorff_dt

MASK = np.array([1, 1, 0, 0], "float32").reshape(1, 1, 4, 1)


def answer(*values: float) -> np.ndarray:
    return 120 * np.array(values, "float32").reshape(MASK.shape) - 60


def test_one_pixel_too_far():
    # The third pixel is ½ from both borders: (½² + ½²) / 4.
    assert float(hausdorff_dt(MASK, answer(1, 1, 1, 0))) == pytest.approx(1 / 8, abs=1e-6)


def test_a_gap():
    # The fourth pixel is 1½ from the true border and ½ from that of the prediction: (2¼ + ¼) / 4.
    assert float(hausdorff_dt(MASK, answer(1, 1, 0, 1))) == pytest.approx(5 / 8, abs=1e-6)


def test_a_prediction_without_a_border():
    # Third and fourth pixel, ½ and 1½ from the true border: (¼ + 2¼) / 4. Missed, the first two cost the same.
    assert float(hausdorff_dt(MASK, answer(1, 1, 1, 1))) == pytest.approx(5 / 8, abs=1e-6)
    assert float(hausdorff_dt(MASK, answer(0, 0, 0, 0))) == pytest.approx(5 / 8, abs=1e-6)


def test_alpha_one():
    assert float(hausdorff_dt(MASK, answer(1, 1, 1, 1), alpha=1.0)) == pytest.approx((0.5 + 1.5) / 4, abs=1e-6)


def test_undecided_counts_as_predicted():
    # Probability ½ throughout: a full prediction, no border of its own. ½² (2¼ + ¼ + ¼ + 2¼) / 4.
    assert float(hausdorff_dt(MASK, np.zeros_like(MASK))) == pytest.approx(5 / 16, abs=1e-6)
