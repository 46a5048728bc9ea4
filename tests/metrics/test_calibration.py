"""Hand-worked bins, and sums of parts."""

import json
import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.calibration import CalibrationCounts, ReliabilityBin

PROBABILITY = np.array([[0.125, 0.125], [0.875, 0.625]])
REFERENCE = np.array([[False, True], [True, False]])


def test_four_pixels_in_two_bins():
    counts = CalibrationCounts.of(PROBABILITY, REFERENCE, bins=2)
    # Low bin: expected 0.25 lesion pixels, 1 there; high bin: expected 1.5, 1 there.
    assert counts.expected_calibration_error == pytest.approx((0.75 + 0.5) / 4)
    assert counts.brier == pytest.approx((0.125**2 + 0.875**2 + 0.125**2 + 0.625**2) / 4)
    assert counts.reliability_curve() == [ReliabilityBin(0, 0.5, 2, 0.125, 0.5), ReliabilityBin(0.5, 1, 2, 0.75, 0.5)]


def test_a_border_belongs_to_the_bin_above_and_one_to_the_last():
    values = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    assert CalibrationCounts.of(values, np.zeros(5, bool), bins=4).pixels == (1, 1, 1, 2)


def test_empty_bins_are_not_on_the_curve():
    counts = CalibrationCounts.of(PROBABILITY, REFERENCE, bins=100)
    assert [found.pixels for found in counts.reliability_curve()] == [2, 1, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parts_add_up(dtype):
    rng = np.random.default_rng(0)
    probability, reference = rng.random((50, 12, 12)).astype(dtype), rng.random((50, 12, 12)) < 0.3
    parts = [CalibrationCounts.of(*case) for case in zip(probability, reference, strict=True)]
    total, whole = sum(parts[1:], parts[0]), CalibrationCounts.of(probability, reference)
    assert (total.pixels, total.lesion_px) == (whole.pixels, whole.lesion_px)
    assert total.expected_calibration_error == pytest.approx(whole.expected_calibration_error)
    assert total.brier == pytest.approx(((probability.astype(float) - reference) ** 2).mean())


def test_the_error_by_its_definition():
    rng = np.random.default_rng(1)
    probability = rng.random(4000)
    reference = rng.random(4000) < probability**2
    place = np.floor(probability * 15)
    expected = sum(
        (place == number).mean() * abs(probability[place == number].mean() - reference[place == number].mean())
        for number in range(15)
    )
    assert CalibrationCounts.of(probability, reference).expected_calibration_error == pytest.approx(expected)


def test_empty_masks():
    nothing, half = np.zeros((2, 2)), np.full((2, 2), 0.5)
    empty, lesion = np.zeros((2, 2), bool), np.array([[True, False], [False, False]])
    for probability, reference, ece, brier in (
        (nothing, empty, 0, 0),
        (half, empty, 0.5, 0.25),
        (nothing, lesion, 0.25, 0.25),
    ):
        counts = CalibrationCounts.of(probability, reference)
        assert (counts.expected_calibration_error, counts.brier) == pytest.approx((ece, brier))
    none = CalibrationCounts.of(np.zeros(0), np.zeros(0, bool))
    assert math.isnan(none.expected_calibration_error)
    assert math.isnan(none.brier)


def test_goes_through_json():
    counts = CalibrationCounts.of(PROBABILITY.astype(np.float32), REFERENCE)
    assert CalibrationCounts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": None}, "no calibration counts: TypeError"),
        ({"pixels": ["x"]}, "no calibration counts: ValueError"),
        ({"pixels": [math.inf]}, "no calibration counts: OverflowError"),
        ({"pixels": [1]}, "lists differ in length"),
    ],
)
def test_what_is_no_dictionary_of_counts_is_refused(changes, message):
    values = CalibrationCounts.of(PROBABILITY, REFERENCE).to_dict() | changes
    with pytest.raises(UsageError, match=message):
        CalibrationCounts.from_dict(values)
    with pytest.raises(UsageError, match="no calibration counts: KeyError"):
        CalibrationCounts.from_dict({})


@pytest.mark.parametrize(
    ("probability", "reference", "message"),
    [
        (PROBABILITY * 2, REFERENCE, r"must be in \[0, 1\]. Received: 0.25 to 1.75. Of logits take the sigmoid"),
        (PROBABILITY * np.nan, REFERENCE, "Received: nan to nan"),
        (PROBABILITY, REFERENCE[0], r"Received: \(2, 2\) and \(2,\)"),
        (PROBABILITY, REFERENCE.astype(int), "Received: float64 and int64"),
        (REFERENCE, REFERENCE, "Received: bool and bool"),
    ],
)
def test_what_is_no_probability_is_refused(probability, reference, message):
    with pytest.raises(UsageError, match=message):
        CalibrationCounts.of(probability, reference)


def test_bins_must_fit():
    with pytest.raises(UsageError, match=r"at least one bin. Received: 0"):
        CalibrationCounts.of(PROBABILITY, REFERENCE, bins=0)
    with pytest.raises(UsageError, match="Counts of 2 and of 3 bins do not add up"):
        CalibrationCounts.of(PROBABILITY, REFERENCE, 2) + CalibrationCounts.of(PROBABILITY, REFERENCE, 3)
