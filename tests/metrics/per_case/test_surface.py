"""Hand-worked distances of outlines, in mm."""

import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.contract import METRICS, MaskPair, measure
from lungzoo.metrics.per_case.surface import nsd_at

NAMES = ("hd_mm", "hd95_mm", "assd_mm", "nsd")


@pytest.fixture
def bars(drawn):
    left = drawn("......", ".####.", ".####.", "......", "......", "......")
    return left, drawn("......", "..####", "..####", "......", "......", "......")


def test_bars_shifted_by_a_column(bars):
    # Bars of two rows are all surface. One column of two pixels on either side is one pixel away: 4 of 16 at 0.5 mm.
    found = measure(MaskPair(*bars, (2.0, 0.5)), NAMES)
    # The 95th percentile of six 0 and two 0.5 is at 0.95 · 7 = 6.65, between two of 0.5.
    assert found == pytest.approx({"hd_mm": 0.5, "hd95_mm": 0.5, "assd_mm": 4 * 0.5 / 16, "nsd": 1.0})


def test_tolerance(bars):
    assert measure(MaskPair(*bars, (1.0, 2.5)), NAMES)["nsd"] == pytest.approx(12 / 16)  # 2.5 mm are too far
    assert nsd_at(MaskPair(*bars, (1.0, 2.5)), 2.5) == 1.0
    assert nsd_at(MaskPair(*bars, (1.0, 2.5)), 0.0) == pytest.approx(12 / 16)
    assert METRICS.get("nsd").title == "NSD at 2 mm"


@pytest.mark.parametrize("tolerance_mm", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_distance(bars, tolerance_mm):
    with pytest.raises(UsageError, match=r"tolerance must be a number of mm, 0 or more\. Received"):
        nsd_at(MaskPair(*bars, (1.0, 1.0)), tolerance_mm)


def test_the_rows_of_a_volume_have_their_own_spacing(bars):
    left, _ = bars
    reference, prediction = left[None].repeat(3, 0), left[None].repeat(3, 0)
    prediction[2] = False
    # 8 voxels of the last slice are 5 mm from the slice before; all the rest, 16 + 16, is shared.
    found = measure(MaskPair(reference, prediction, (5.0, 1.0, 1.0)), NAMES)
    assert found["hd_mm"] == 5.0
    assert found["assd_mm"] == pytest.approx(8 * 5 / 40)
    assert found["nsd"] == pytest.approx(32 / 40)


def test_silence_costs_more_than_the_worst_distance(drawn):
    corner = drawn("#.....", "......", "......", "......", "......", "......")
    opposite = corner[::-1, ::-1]
    silent = measure(MaskPair(corner, corner & False, (2.0, 0.5)), NAMES)
    wrong = measure(MaskPair(corner, opposite, (2.0, 0.5)), NAMES)
    assert all(silent[name] > wrong[name] for name in NAMES[:3])
