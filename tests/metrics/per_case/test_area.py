"""Hand-worked sizes."""

import numpy as np
import pytest

from lungzoo.metrics.contract import MaskPair, measure

NAMES = ("area_error", "absolute_area_error_mm2", "absolute_volume_error_mm3")


def test_slices(drawn):
    eight = drawn("......", ".####.", ".####.", "......", "......", "......")
    six = drawn("......", "......", "......", "######", "......", "......")
    # Pixels of 2 × 0.5 = 1 mm²: 6 instead of 8 is a quarter less, 8 instead of 6 a third more.
    less = measure(MaskPair(eight, six, (2.0, 0.5)), NAMES)
    assert less == pytest.approx({NAMES[0]: -25.0, NAMES[1]: 2.0, NAMES[2]: np.nan}, nan_ok=True)
    more = measure(MaskPair(six, eight, (2.0, 1.5)), NAMES)
    assert more == pytest.approx({NAMES[0]: 100 / 3, NAMES[1]: 6.0, NAMES[2]: np.nan}, nan_ok=True)


def test_volumes(drawn):
    eight = drawn("......", ".####.", ".####.", "......", "......", "......")
    reference, prediction = np.stack([eight, eight]), np.stack([eight, eight & False])
    # 8 of 16 voxels of 4 × 2 × 0.5 = 4 mm³.
    found = measure(MaskPair(reference, prediction, (4.0, 2.0, 0.5)), NAMES)
    assert found == pytest.approx({NAMES[0]: -50.0, NAMES[1]: np.nan, NAMES[2]: 32.0}, nan_ok=True)
