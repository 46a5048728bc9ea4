import numpy as np
import pytest

from lungzoo.data.files.values import AS_STORED, Scaling, to_hu, to_mask, to_uint8
from lungzoo.errors import DatasetError


def test_scaling_and_rounding():
    stored = np.array([[[0, 24, 1000, 2001]]], np.uint16)
    values, rounded = to_hu(stored, Scaling(1.0, -1024.0))
    assert values.tolist() == [[[-1024, -1000, -24, 977]]]
    assert (values.dtype, rounded) == (np.int16, False)
    values, rounded = to_hu(np.array([[[-900.0, 0.6, -0.4]]]), AS_STORED)
    assert (values.tolist(), rounded) == ([[[-900, 1, 0]]], True)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, 0.25, 1.0], "run from 0 to 1: a scaled image or a mask; expected HU"),
        ([-1.0, 1.0], "run from -1 to 1: a scaled image"),
        ([0, 255], "run from 0 to 255, as those of an 8-bit picture; expected HU"),
        ([0, 1.016], "run from 0 to 1.016: a scaled image or a mask; expected HU"),
        ([0, 3000], "run from 0 to 3000: nothing is below 0, though air is near -1000 HU, so an offset is missing"),
        ([-3.5, 4.0], "run from -3.5 to 4: too narrow for CT, as if it had been normalised"),
        ([-5, -5], "every one of its values is -5"),
        ([-1000.0, np.nan], "NaN or infinite"),
        ([-1000.0, np.inf], "NaN or infinite"),
        ([-40000, 0], "values such as -40000; HU fit -32768 to 32767"),
    ],
)
def test_what_is_not_hu(values, reason):
    with pytest.raises(DatasetError, match=reason):
        to_hu(np.array([[values]], np.float64), AS_STORED)


def test_a_range_may_be_taken_on_trust():
    assert to_hu(np.array([[0, 60]]), AS_STORED, must_look_like_hu=False)[0].tolist() == [[0, 60]]


def test_eight_bits():
    assert to_uint8(np.array([3], np.uint8), AS_STORED).tolist() == [3]
    with pytest.raises(DatasetError, match="are int16, not 8-bit grey"):
        to_uint8(np.array([3], np.int16), AS_STORED)


def test_masks():
    assert to_mask(np.array([0.0, 1.0]), AS_STORED).tolist() == [0, 1]
    assert to_mask(np.array([0, 2, 3, 9]), AS_STORED, (2, 3), others=True).tolist() == [0, 1, 1, 0]
    with pytest.raises(DatasetError, match="holds the values 2, 3; allowed are 0 and 1"):
        to_mask(np.array([0, 1, 2, 3]), AS_STORED)
    with pytest.raises(DatasetError, match="holds the values nan"):
        to_mask(np.array([0, np.nan]), AS_STORED)
