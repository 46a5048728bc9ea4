"""Hand-drawn shifts, warps, holes and mixtures, eagerly and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from lungzoo.data.augment import change_intensity, fixed_shifts, move
from lungzoo.data.augment.draws import NOISE_POOL, STREAMS, noise_field, noise_pool, table
from lungzoo.data.augment.intensity import add_noise, blur, change_gamma, lower_resolution
from lungzoo.data.augment.mix import cut_out, mix_up, paste_lesion
from lungzoo.data.augment.warp import CONTROL_POINTS, sample, source_grid

ROW = np.array([[[1, 2, 3, 4]] * 4], np.int16)  # (1, 4, 4), columns 1 2 3 4


def eagerly(function, *arrays):
    found = function(*(tf.constant(array) for array in arrays))
    return [part.numpy() for part in found] if isinstance(found, tuple) else found.numpy()


def in_tf_data(function, *arrays):
    found = next(tf.data.Dataset.from_tensors(arrays).map(function).as_numpy_iterator())
    return list(found) if isinstance(found, tuple) else found


both_ways = pytest.mark.parametrize("run", [eagerly, in_tf_data])


# Shifts and mirrors


@both_ways
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
    arrays = np.int32([shift]), np.array([flip])
    np.testing.assert_array_equal(run(move, ROW, *arrays)[0, 1], expected)
    np.testing.assert_array_equal(run(move, ROW[:, None], *arrays)[0, 0, 1], expected)


def test_rows_move_like_columns():
    column = ROW.transpose(0, 2, 1)
    moved = eagerly(move, column, np.int32([[1, 0]]), np.zeros((1, 2), bool))
    np.testing.assert_array_equal(moved[0, :, 2], [2, 1, 2, 3])


def test_each_case_of_a_batch_has_its_own_shift():
    batch = np.concatenate([ROW, ROW])
    out = move(tf.constant(batch), tf.constant([[0, 1], [0, -2]]), tf.zeros((2, 2), tf.bool)).numpy()
    np.testing.assert_array_equal(out[:, 0], [[2, 1, 2, 3], [3, 4, 3, 2]])


def test_fixed_shifts_depend_on_the_case_and_the_seed_alone():
    names = [f"case-{number}" for number in range(500)]
    shifts = fixed_shifts(names, 0, 24)
    assert np.abs(shifts).max() == 24
    assert abs(shifts.mean()) < 2
    np.testing.assert_array_equal(shifts[[7, 3]], fixed_shifts(["case-7", "case-3"], 0, 24))
    assert (shifts != fixed_shifts(names, 1, 24)).any()
    assert not fixed_shifts(names, 0, 0).any()


# Warps

PATTERN = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5)
SQUARE = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)


def warp(run, image, mask=None, shift=(0, 0), flip=(False, False), rotate_deg=0.0, scale=1.0, bend_px=None):
    mask = (image > 7).astype(np.uint8) if mask is None else mask
    numbers = [np.float32([rotate_deg]), np.float32([scale])]
    bend = [] if bend_px is None else [np.float32(bend_px)[None]]

    def lookup(image, mask, *rest):
        return sample(image, mask, *source_grid(image.shape[2:], *rest))

    return run(lookup, image, mask, np.int32([shift]), np.array([flip]), *numbers, *bend)


@both_ways
def test_a_quarter_turn_is_rot90(run):
    image, mask = warp(run, SQUARE, rotate_deg=90.0)
    np.testing.assert_allclose(image[0, 0], np.rot90(SQUARE[0, 0]), atol=1e-4)
    np.testing.assert_array_equal(mask[0, 0], np.rot90(SQUARE[0, 0] > 7))


@both_ways
def test_growing_by_two_halves_the_steps(run):
    image, mask = warp(run, np.float32([[[[0, 10, 20, 30]]]]).repeat(4, 2), scale=2.0)
    # The centre lies at 1.5; pixels 0…3 look at 0.75, 1.25, 1.75, 2.25.
    np.testing.assert_allclose(image[0, 0, 0], [7.5, 12.5, 17.5, 22.5], atol=1e-5)
    np.testing.assert_array_equal(mask[0, 0, 0], [1, 1, 1, 1])


@both_ways
def test_beyond_the_border_lies_the_mirror_image(run):
    image, _ = warp(run, np.float32([[[[0, 10, 20, 30]]]]).repeat(4, 2), scale=0.5)
    # Pixels 0…3 look at -1.5, 0.5, 2.5, 4.5; the first and the last lie 1.5 beyond the border pixel.
    np.testing.assert_allclose(image[0, 0, 0], [15, 5, 25, 15], atol=1e-5)


@both_ways
@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-1, 4)])
@pytest.mark.parametrize("flip", [(False, False), (True, False), (True, True)])
def test_without_turn_and_scale_a_warp_is_a_move(run, shift, flip):
    image, mask = warp(run, PATTERN, shift=shift, flip=flip)
    arrays = np.int32([shift]), np.array([flip])
    np.testing.assert_array_equal(image, eagerly(move, PATTERN, *arrays))
    np.testing.assert_array_equal(mask, eagerly(move, (PATTERN > 7).astype(np.uint8), *arrays))


@both_ways
def test_equal_control_points_displace_everything_alike(run):
    bend = np.zeros((2, CONTROL_POINTS, CONTROL_POINTS))
    bend[1] = 0.5  # every pixel looks half a pixel to the right
    image, mask = warp(run, np.float32([[[[0, 10, 20, 30]]]]).repeat(4, 2), bend_px=bend)
    np.testing.assert_allclose(image[0, 0, 2], [5, 15, 25, 25], atol=1e-4)
    np.testing.assert_array_equal(mask[0, 0, 2], [1, 1, 1, 1])


def test_one_control_point_displaces_its_surroundings():
    bend = np.zeros((1, 2, CONTROL_POINTS, CONTROL_POINTS), np.float32)
    bend[0, 0, 3, 3] = 1.0  # the third knot: the middle of the image
    still = tf.zeros((1, 2), tf.int32), tf.zeros((1, 2), tf.bool), tf.zeros(1), tf.ones(1)
    y, x = (part.numpy()[0] for part in source_grid((64, 64), *still, tf.constant(bend)))
    moved = y - np.arange(64)[:, None]
    assert moved[32, 32] == pytest.approx((2 / 3) ** 2, abs=1e-5)  # a cubic B-spline is 2/3 at its knot
    assert moved[32, 48] == pytest.approx(2 / 3 / 6, abs=1e-5)  # and 1/6 one knot, 16 pixels, away
    np.testing.assert_allclose(moved[32, [0, 63]], 0, atol=1e-4)
    np.testing.assert_allclose(x, np.arange(64)[None].repeat(64, 0), atol=1e-4)


def test_the_strongest_bend_does_not_fold():
    bend = np.random.default_rng(0).uniform(-1, 1, (50, 2, CONTROL_POINTS, CONTROL_POINTS)) * 0.1 * 64
    still = tf.zeros((50, 2), tf.int32), tf.zeros((50, 2), tf.bool), tf.zeros(50), tf.ones(50)
    y, x = (part.numpy() for part in source_grid((64, 64), *still, tf.constant(bend, tf.float32)))
    (yy, yx), (xy, xx) = np.gradient(y, axis=(1, 2)), np.gradient(x, axis=(1, 2))
    assert (yy * xx - yx * xy).min() > 0


def test_slices_of_a_stack_warp_alike():
    stack = np.concatenate([PATTERN, PATTERN + 100], axis=1)
    image, _ = warp(eagerly, stack, rotate_deg=33.0, scale=1.2, shift=(1, 0))
    np.testing.assert_allclose(image[:, 1], image[:, 0] + 100, atol=1e-4)


# Grey values


@both_ways
def test_intensity_turns_around_mid_grey_and_stays_in_range(run):
    changed = run(change_intensity, np.float32([[[0.5, 0.75, 1.0]]]), np.float32([2]), np.float32([-0.1]))
    np.testing.assert_allclose(changed, [[[0.4, 0.9, 1.0]]], atol=1e-6)


@both_ways
def test_gamma_is_a_power(run):
    changed = run(change_gamma, np.float32([[[0, 0.5, 1]], [[0, 0.25, 1]]]), np.float32([2, 0.5]))
    np.testing.assert_allclose(changed, [[[0, 0.25, 1]], [[0, 0.5, 1]]], atol=1e-6)


@both_ways
def test_noise_is_scaled_and_clipped(run):
    noise = np.float32([[[1, -2, 3]]])
    np.testing.assert_allclose(
        run(add_noise, np.float32([[[0.5, 0.5, 0.9]]]), np.float32([0.1]), noise), [[[0.6, 0.3, 1]]], atol=1e-6
    )


def test_fields_of_noise_are_cut_from_a_pool():
    pool = tf.range(100, dtype=tf.float32)
    # 16 numbers of 100 start at one of 84 places; the second slice 0.618 · 84 = 52 further.
    field = noise_field(pool, tf.constant(0.5), (2, 4, 4)).numpy()
    np.testing.assert_array_equal(field[0].ravel(), np.arange(42, 58))
    np.testing.assert_array_equal(field[1].ravel(), np.arange((42 + 52) % 84, (42 + 52) % 84 + 16))


def test_a_slice_larger_than_half_the_pool_sees_numbers_again():
    field = noise_field(tf.range(5, dtype=tf.float32), tf.constant(0.0), (1, 2, 4)).numpy()
    np.testing.assert_array_equal(field.ravel(), [0, 1, 2, 3, 4, 0, 1, 2])


def test_the_pool_is_standard_normal_and_a_function_of_the_seed():
    pool = noise_pool(3).numpy()
    assert pool.shape == (NOISE_POOL,)
    assert (pool.mean(), pool.std()) == (pytest.approx(0, abs=2e-3), pytest.approx(1, abs=2e-3))
    np.testing.assert_array_equal(pool, noise_pool(3).numpy())
    assert (pool != noise_pool(4).numpy()).all()
    fields = np.stack([noise_field(tf.constant(pool), tf.constant(at), (1, 16, 16)) for at in (0.1, 0.2, 0.7)])
    assert abs(np.corrcoef(fields.reshape(3, -1)) - np.eye(3)).max() < 0.3


@both_ways
def test_blur_spreads_a_point_by_the_gaussian(run):
    image = np.zeros((2, 1, 9, 9), np.float32)
    image[:, 0, 4, 4] = 1
    blurred = run(lambda image, sigma: blur(image, sigma, 1.0), image, np.float32([1.0, 0.0]))
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    np.testing.assert_allclose(blurred[0, 0, 4, 1:8], weights / weights.sum() * weights[3] / weights.sum(), atol=1e-6)
    np.testing.assert_array_equal(blurred[1], image[1])


@both_ways
def test_lower_resolution_keeps_one_pixel_of_each_cell(run):
    image = np.float32([[[[0, 1, 2, 3, 4, 5, 6, 7]]]]).repeat(2, 0).repeat(4, 2)
    coarse = run(lower_resolution, image, np.float32([2, 1]))
    # Cells of two: pixels 1, 3, 5, 7 are kept at places 0.5, 2.5, 4.5, 6.5.
    np.testing.assert_allclose(coarse[0, 0, 0], [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7], atol=1e-6)
    np.testing.assert_array_equal(coarse[1], image[1])


# Holes and mixtures


@both_ways
def test_cut_out_erases_image_and_mask(run):
    mask = np.ones((1, 1, 4, 4), np.uint8)
    image, left = run(cut_out, SQUARE, mask, np.float32([[0.5, 0.25]]), np.float32([[0.5, 0.5]]))
    expected = np.ones((4, 4), bool)
    expected[1:3, 0:2] = False
    np.testing.assert_array_equal(left[0, 0], expected)
    np.testing.assert_array_equal(image[0, 0], np.where(expected, SQUARE[0, 0], 7.5))


@both_ways
def test_mix_up_is_a_weighted_mean(run):
    mixed = run(mix_up, SQUARE, np.full_like(SQUARE, 100), np.float32([0.25]))
    np.testing.assert_allclose(mixed, SQUARE * 0.75 + 25)


@both_ways
def test_a_lesion_is_pasted_with_a_soft_rim_where_it_is_dark(run):
    image = np.full((3, 1, 7, 7), 40, np.float32)
    image[:, 0, 1:6, 1:6] = [[[-800]], [[40]], [[-800]]]  # lung; chest wall; air beside a body
    image[2, 0, :, 4:] = image[2, 0, 0] = image[2, 0, 6] = -800
    mask = np.zeros((3, 1, 7, 7), np.uint8)
    mask[:, 0, 1, 1] = 1
    lesion = np.zeros((3, 1, 7, 7), np.uint8)
    lesion[:, 0, 3:5, 3] = 1
    paste = lambda *arrays: paste_lesion(*arrays, brightest=-400.0)  # noqa: E731
    pasted, both = run(paste, image, mask, np.full_like(image, 100), lesion)
    np.testing.assert_array_equal(both[0], mask[0] | lesion[0])
    expected = [[-800] * 5, [-800, -350, -350, -350, -800], *[[-800, -350, 100, -350, -800]] * 2]
    np.testing.assert_allclose(pasted[0, 0, 1:6, 1:6], [*expected, [-800, -350, -350, -350, -800]])
    np.testing.assert_array_equal(both[1:], mask[1:])
    np.testing.assert_array_equal(pasted[1:], image[1:])


def test_every_operation_has_its_own_stream():
    numbers = [number for number, _ in STREAMS.values()]
    assert len(set(numbers)) == len(numbers)
    first, second = (table(name, 400, 0, 1).numpy()[:, 0] for name in ("noise", "blur"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
