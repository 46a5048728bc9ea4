import hashlib

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.pipeline import Pipeline, View, neighbours
from lungzoo.data.preprocess.grey import Statistics
from lungzoo.errors import ConfigError

AUGMENT = AugmentConfig(shift_px=2, flip=True, intensity=0.1)


def batches(dataset, seed=0, start=0, epochs=2, rows=None, batch_size=4, augment=AUGMENT):
    pipeline = Pipeline(dataset, DataConfig(), batch_size)
    rows = np.arange(len(dataset)) if rows is None else rows
    return list(pipeline.training(rows, augment, seed, start, epochs).as_numpy_iterator())


def test_shapes_ranges_and_steps(dataset):
    found = batches(dataset)
    pipeline = Pipeline(dataset, DataConfig(), 4)
    assert len(found) == 2 * pipeline.steps_per_epoch(np.arange(10)) == 4
    for image, mask, _ in found:
        assert image.shape == mask.shape == (4, 8, 8, 1)
        assert image.dtype == mask.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        assert set(np.unique(mask)) <= {0.0, 1.0}


def test_closing_an_iterator_waits_for_no_tuning(dataset):
    pipeline, rows = Pipeline(dataset, DataConfig(), 4), np.arange(10)
    for made in (pipeline.training(rows, AugmentConfig(), 0, 0, 1), pipeline.evaluation(rows, 0, 0)):
        assert made.options().autotune.enabled is False


def test_image_and_mask_move_together(dataset):
    for image, mask, _ in batches(dataset, augment=AugmentConfig(shift_px=3, flip=True, intensity=0)):
        np.testing.assert_array_equal(image > 0.9, mask > 0)


def test_same_seed_same_batches(dataset):
    for one, other in zip(batches(dataset), batches(dataset), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert any(
        (one[0] != other[0]).any() for one, other in zip(batches(dataset), batches(dataset, seed=1), strict=True)
    )


def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(dataset):
    whole, resumed = batches(dataset, epochs=3), batches(dataset, start=1, epochs=3)
    for one, other in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_epochs_differ(dataset):
    found = batches(dataset)
    assert (found[0][0] != found[2][0]).any()


def test_augmentation_of_a_case_does_not_depend_on_the_batch_size(dataset):
    def by_brightness(found):
        images = np.concatenate([image for image, _, _ in found])
        return images[np.lexsort(images.reshape(len(images), -1).T)]

    small = by_brightness(batches(dataset, epochs=1, batch_size=2))
    large = by_brightness(batches(dataset, epochs=1, batch_size=5))
    np.testing.assert_array_equal(small, large)


def test_evaluation_keeps_order_and_shifts_each_case_the_same_way_every_time(dataset):
    pipeline = Pipeline(dataset, DataConfig(), 4)
    rows = np.array([7, 2, 9])
    plain = next(pipeline.evaluation(rows, 0, 0).as_numpy_iterator())
    np.testing.assert_array_equal(plain[1][..., 0], dataset.consensus(rows, 2))
    first, again = (next(pipeline.evaluation(rows, 3, 0).as_numpy_iterator()) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[1] != plain[1]).any()
    alone = next(pipeline.evaluation(rows[1:2], 3, 0).as_numpy_iterator())
    np.testing.assert_array_equal(alone[0][0], first[0][1])


def test_hu_window(dataset):
    pipeline = Pipeline(dataset, DataConfig(window_hu=(-1350, 150)), 4)
    image, mask, _ = next(pipeline.evaluation(np.array([3]), 0, 0).as_numpy_iterator())
    np.testing.assert_allclose(image[mask > 0], 1.0)
    np.testing.assert_allclose(image[mask == 0], 30 / 1500, atol=1e-6)


def test_uint8_is_divided_by_255(store, make_slice):
    item = make_slice(51)
    dataset = store([item], units="uint8")
    image, _, _ = next(Pipeline(dataset, DataConfig(), 1).evaluation(np.array([0]), 0, 0).as_numpy_iterator())
    np.testing.assert_allclose(image, 0.2, atol=1e-6)


def test_fewer_cases_than_a_batch_still_make_one(dataset):
    assert len(batches(dataset, rows=np.arange(3), epochs=2, batch_size=16)) == 2


def test_a_shift_beyond_the_image_is_refused(dataset):
    with pytest.raises(ConfigError, match=r"smaller than the image side of 8 pixels. Received: 8"):
        batches(dataset, augment=AugmentConfig(shift_px=8))


def test_neighbours_stay_in_their_volume_and_repeat_its_ends():
    volumes, z = pd.Series(["b", "a", "a", "b", "a"]), pd.Series([5, 3, 1, 4, 2])
    # Volume a by z: rows 2, 4, 1. Volume b: rows 3, 0.
    expected = [[3, 0, 0], [4, 1, 1], [2, 2, 4], [3, 3, 0], [2, 4, 1]]
    np.testing.assert_array_equal(neighbours(volumes, z, 3), expected)
    np.testing.assert_array_equal(neighbours(volumes, z, 1)[:, 0], np.arange(5))


def test_neighbours_do_not_jump_over_slices_that_are_not_there():
    volumes, z = pd.Series(["a"] * 4), pd.Series([10, 11, 50, 51])
    np.testing.assert_array_equal(neighbours(volumes, z, 3), [[0, 0, 1], [0, 1, 1], [2, 2, 3], [2, 3, 3]])


def shown(dataset, view, rows, **shift):
    pipeline = Pipeline(dataset, DataConfig(), 4, view)
    return next(pipeline.evaluation(np.array(rows), **{"shift_px": 2, "seed": 0, **shift}).as_numpy_iterator())


def test_a_stack_has_the_neighbours_as_channels_and_the_middle_mask(dataset):
    single, stack = shown(dataset, View(), [4, 7]), shown(dataset, View(slices=3), [4, 7])
    assert stack[0].shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(stack[0][..., 1:2], single[0])
    np.testing.assert_array_equal(stack[1], single[1])
    before, after = shown(dataset, View(), [3, 5], shift_px=0), shown(dataset, View(slices=3), [4], shift_px=0)
    np.testing.assert_array_equal(after[0][0, ..., 0], before[0][0, ..., 0])
    np.testing.assert_array_equal(after[0][0, ..., 2], before[0][1, ..., 0])


def test_a_volume_has_a_mask_for_every_slice(dataset):
    image, mask, _ = shown(dataset, View(slices=5, volume=True), [4, 7], shift_px=0)
    assert image.shape == mask.shape == (2, 5, 8, 8, 1)
    for depth, row in enumerate(range(2, 7)):
        np.testing.assert_array_equal(mask[0, depth, ..., 0], dataset.consensus(np.array([row]), 2)[0])


@pytest.mark.parametrize("volume", [False, True])
def test_the_slices_of_a_stack_move_together(dataset, volume):
    pipeline = Pipeline(dataset, DataConfig(), 4, View(slices=3, volume=volume))
    augment = AugmentConfig(shift_px=3, flip=True, intensity=0)
    for image, mask, _ in pipeline.training(np.arange(10), augment, 0, 0, 2).as_numpy_iterator():
        middle = image[:, 1, ..., :] if volume else image[..., 1:2]
        np.testing.assert_array_equal(middle > 0.9, (mask[:, 1] if volume else mask) > 0)


def test_labels_are_numbers_and_others_are_minus_one(store, make_slice):
    slices = [make_slice(z, size_px=8, label=label) for z, label in enumerate(("benign", "", "malignant"))]
    _, _, label = shown(store(slices), View(labels=("benign", "malignant")), [2, 1, 0])
    np.testing.assert_array_equal(label, [[1], [-1], [0]])


# What recorded results rest on: the batches of lungzoo 0.1, as sums along a wave and hashes of the masks.


def digest(found):
    images, masks = (np.concatenate([batch[part] for batch in found]) for part in (0, 1))
    wave = float((images * np.cos(np.arange(images.size)).reshape(images.shape)).sum())
    return wave, hashlib.sha256(masks.astype(np.uint8).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("units", "view", "shift_px", "wave", "masks"),
    [
        ("hu", View(), 0, -14.1667, "c0dea6f288f19fb2"),
        ("hu", View(), 5, -10.6919, "a5f0ce180cc33898"),
        ("hu", View(slices=3), 5, 8.9447, "a5f0ce180cc33898"),
        ("hu", View(slices=3, volume=True), 5, 2.3941, "f32dc820ff8d48d1"),
        ("uint8", View(), 5, -9.8096, "a5f0ce180cc33898"),
        ("uint8", View(slices=3), 0, 5.787, "c0dea6f288f19fb2"),
    ],
)
def test_batches_that_results_rest_on(patterned, units, view, shift_px, wave, masks):
    augment = AugmentConfig(shift_px=5, flip=True, intensity=0.2) if shift_px else AugmentConfig()
    pipeline = Pipeline(patterned(units), DataConfig(), 4, view)
    found = digest(list(pipeline.training(np.arange(9), augment, 3, 1, 3).as_numpy_iterator()))
    assert found == (pytest.approx(wave, abs=2e-3), masks)


@pytest.mark.parametrize(("units", "wave"), [("hu", 0.5831), ("uint8", -9.0106)])
def test_evaluation_that_results_rest_on(patterned, units, wave):
    pipeline = Pipeline(patterned(units), DataConfig(), 4)
    found = digest(list(pipeline.evaluation(np.arange(10), 6, 2).as_numpy_iterator()))
    assert found == (pytest.approx(wave, abs=2e-3), "3a3d6e328de5c282")


# Windows as channels, normalisation


def test_windows_are_channels(dataset):
    config = DataConfig(windows=["lung", (-1400, -1300)])
    image, mask, _ = next(Pipeline(dataset, config, 4).evaluation(np.array([3]), 0, 0).as_numpy_iterator())
    assert image.shape == (1, 8, 8, 2)
    # Background -1320 HU: 30 / 1500 of the first window, 80 / 100 of the second.
    np.testing.assert_allclose(image[mask[..., 0] == 0], [[0.02, 0.8]] * 55, atol=1e-6)
    np.testing.assert_allclose(image[mask[..., 0] == 1], [[1, 1]] * 9)


def test_windows_of_a_stack_lie_side_by_side(dataset):
    single = DataConfig(windows=["lung"])
    both = DataConfig(windows=["lung", "mediastinum"])
    rows, view = np.array([4, 7]), View(slices=3)
    lung, two = (
        next(Pipeline(dataset, config, 4, view).evaluation(rows, 0, 0).as_numpy_iterator())[0]
        for config in (single, both)
    )
    assert two.shape == (2, 8, 8, 6)
    np.testing.assert_array_equal(two[..., ::2], lung)
    volume = View(slices=3, volume=True)
    deep = next(Pipeline(dataset, both, 4, volume).evaluation(rows, 0, 0).as_numpy_iterator())[0]
    assert deep.shape == (2, 3, 8, 8, 2)
    np.testing.assert_array_equal(np.moveaxis(deep[..., 0], 1, -1), lung)


def test_windows_of_8_bit_images_are_refused(store, make_slice):
    dataset = store([make_slice(51)], units="uint8")
    with pytest.raises(ConfigError, match=r"data.windows needs a dataset in HU; this one's images are 8-bit"):
        Pipeline(dataset, DataConfig(windows=["lung"]), 1)


def test_zscore_puts_three_deviations_into_the_range(store, make_slice):
    dataset = store([make_slice(value) for value in (51, 102, 255)], units="uint8")
    config = DataConfig(normalise="zscore")
    pipeline = Pipeline(dataset, config, 3, statistics=Statistics((0.2,), (0.1,)))
    image, _, _ = next(pipeline.evaluation(np.arange(3), 0, 0).as_numpy_iterator())
    # 0.2 is the mean; 0.4 two deviations above it; 1 more than three.
    np.testing.assert_allclose(image[:, 0, 0, 0], [0.5, 0.5 + 2 / 6, 1.0], atol=1e-6)
    with pytest.raises(ConfigError, match=r"needs statistics of the training split. Received: none"):
        Pipeline(dataset, config, 3)
