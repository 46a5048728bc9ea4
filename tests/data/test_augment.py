"""Hand-drawn shifts, eagerly and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from lungzoo.data.augment import change_intensity, fixed_shifts, move

ROW = np.array([[[1, 2, 3, 4]] * 4], np.int16)  # (1, 4, 4), columns 1 2 3 4


def moved(image, shift, flip=(False, False)):
    return move(tf.constant(image), tf.constant([shift], tf.int32), tf.constant([flip]))


def inside_tf_data(image, shift, flip=(False, False)):
    dataset = tf.data.Dataset.from_tensors((image, np.int32([shift]), np.array([flip]))).map(move)
    return next(dataset.as_numpy_iterator())


@pytest.mark.parametrize("run", [moved, inside_tf_data])
@pytest.mark.parametrize(
    ("shift", "flip", "expected"),
    [
        ((0, 0), (False, False), [1, 2, 3, 4]),
        ((0, 1), (False, False), [2, 1, 2, 3]),  # content moves right, the border is mirrored
        ((0, -2), (False, False), [3, 4, 3, 2]),
        ((0, 0), (False, True), [4, 3, 2, 1]),
        ((0, 1), (False, True), [3, 2, 1, 2]),
        ((2, 0), (True, False), [1, 2, 3, 4]),  # all rows are alike
    ],
)
def test_moves_columns(run, shift, flip, expected):
    np.testing.assert_array_equal(np.asarray(run(ROW, shift, flip))[0, 1], expected)


def test_rows_move_like_columns():
    column = ROW.transpose(0, 2, 1)
    np.testing.assert_array_equal(np.asarray(moved(column, (1, 0)))[0, :, 2], [2, 1, 2, 3])


def test_each_case_of_a_batch_has_its_own_shift():
    batch = np.concatenate([ROW, ROW])
    out = move(tf.constant(batch), tf.constant([[0, 1], [0, -2]]), tf.zeros((2, 2), tf.bool)).numpy()
    np.testing.assert_array_equal(out[:, 0], [[2, 1, 2, 3], [3, 4, 3, 2]])


def test_intensity_turns_around_mid_grey_and_stays_in_range():
    image = tf.constant([[[0.5, 0.75, 1.0]]])
    changed = change_intensity(image, tf.constant([2.0]), tf.constant([-0.1])).numpy()
    np.testing.assert_allclose(changed, [[[0.4, 0.9, 1.0]]], atol=1e-6)


def test_fixed_shifts_depend_on_the_case_and_the_seed_alone():
    names = [f"case-{number}" for number in range(500)]
    shifts = fixed_shifts(names, 0, 24)
    assert np.abs(shifts).max() == 24
    assert abs(shifts.mean()) < 2
    np.testing.assert_array_equal(shifts[[7, 3]], fixed_shifts(["case-7", "case-3"], 0, 24))
    assert (shifts != fixed_shifts(names, 1, 24)).any()
    assert not fixed_shifts(names, 0, 0).any()
