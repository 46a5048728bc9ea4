"""Hand-worked lesions found and invented."""

import numpy as np
import pytest

from lungzoo.metrics.contract import MaskPair, measure

NAMES = ("false_positive_lesions", "lesion_sensitivity", "false_positive_rate")


def test_two_of_three_found_and_one_invented(drawn):
    reference = drawn("##...#", "##....", "......", "......", "......", "####..")
    prediction = drawn("##....", "......", "......", "...##.", "......", ".###..")
    # IoU 2/4 with the first, 3/4 with the third; the one in the middle hits nothing.
    assert measure(MaskPair(reference, prediction), NAMES) == pytest.approx(
        dict(zip(NAMES, (1, 2 / 3, 1), strict=True))
    )


def test_a_lesion_that_runs_through_slices_is_one(drawn):
    bar = drawn("......", ".####.", ".####.", "......", "......", "......")
    reference, prediction = np.stack([bar, bar]), np.stack([bar, bar & False])
    assert measure(MaskPair(reference, prediction), NAMES)["lesion_sensitivity"] == 1.0  # IoU 1/2
