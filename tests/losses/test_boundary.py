"""Hand-worked numbers."""

import numpy as np
import pytest

from lungzoo.losses.boundary import boundary


def row(*values: float) -> np.ndarray:
    return np.array(values, "float32").reshape(1, 1, -1, 1)


def test_undecided_on_a_row():
    # Signed distances -1½, -½, ½, 1½; probability - truth = -½, -½, ½, ½: (¾ + ¼ + ¼ + ¾) / 4.
    assert float(boundary(row(1, 1, 0, 0), row(0, 0, 0, 0))) == pytest.approx(0.5, abs=1e-6)


def test_a_false_positive_costs_its_distance():
    near, far = row(60, -60, 60, -60, -60, -60), row(60, -60, -60, -60, -60, 60)
    mask = row(1, 0, 0, 0, 0, 0)
    assert float(boundary(mask, near)) == pytest.approx(1.5 / 6, abs=1e-6)
    assert float(boundary(mask, far)) == pytest.approx(4.5 / 6, abs=1e-6)


def test_a_missed_pixel(undecided):
    mask, _ = undecided
    # ½ from its border, one pixel of four.
    assert float(boundary(mask, np.full_like(mask, -60))) == pytest.approx(0.5 / 4, abs=1e-6)


def test_a_full_mask_has_no_border():
    assert float(boundary(row(1, 1), row(-60, -60))) == 0
