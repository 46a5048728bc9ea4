"""Presets and every operation of augmentation, as the pipeline makes batches of them."""

import time

import numpy as np
import pytest

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.errors import ConfigError

HEAVY = AugmentConfig(preset="heavy", shift_px=3)


@pytest.mark.parametrize(
    ("preset", "view"),
    [
        ("light", View()),
        ("medium", View(slices=3)),
        ("heavy", View()),
        pytest.param("heavy", View(slices=3, volume=True), marks=pytest.mark.slow),
    ],
)
def test_presets_keep_shapes_and_ranges(patterned, preset, view):
    pipeline = Pipeline(patterned("hu"), DataConfig(), 4, view)
    plain = next(pipeline.evaluation(np.arange(4), 0, 0).as_numpy_iterator())
    augment = AugmentConfig(preset=preset, shift_px=3)
    for image, mask, _ in pipeline.training(np.arange(10), augment, 0, 0, 1).as_numpy_iterator():
        assert image.shape == plain[0].shape
        assert mask.shape == plain[1].shape
        assert image.min() >= 0
        assert image.max() <= 1
        assert set(np.unique(mask)) <= {0.0, 1.0}


def test_a_resumed_heavy_run_sees_the_same_batches(patterned):
    pipeline = Pipeline(patterned("hu"), DataConfig(), 4)
    whole, resumed = (
        list(pipeline.training(np.arange(10), HEAVY, 0, start, 3).as_numpy_iterator()) for start in (0, 1)
    )
    for one, other in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
def test_heavy_augmentation_of_a_case_does_not_depend_on_the_batch_size(patterned):
    dataset = patterned("uint8")
    pipelines = [Pipeline(dataset, DataConfig(), size) for size in (2, 5)]
    small, large = (pipeline.shown(np.arange(10), HEAVY, 0, 4) for pipeline in pipelines)
    assert sorted(small) == sorted(large) == list(range(10))
    for row in range(10):
        np.testing.assert_allclose(small[row][0], large[row][0], atol=1e-5)
        np.testing.assert_array_equal(small[row][1], large[row][1])


def test_an_operation_leaves_the_numbers_of_the_others_alone(patterned):
    pipeline = Pipeline(patterned("hu"), DataConfig(), 5)
    warped = AugmentConfig(shift_px=3, rotate_deg=30, warp_share=1, intensity=0)
    both = warped.model_copy(update={"noise": 0.2, "effect_share": 0.5})
    one, other = (pipeline.shown(np.arange(10), augment, 0, 0) for augment in (warped, both))
    same = [np.array_equal(one[row][0], other[row][0]) for row in range(10)]
    assert 1 <= sum(same) <= 9
    assert all(np.array_equal(one[row][1], other[row][1]) for row in range(10))


@pytest.mark.parametrize("volume", [False, True])
def test_the_slices_of_a_stack_warp_together(dataset, volume):
    pipeline = Pipeline(dataset, DataConfig(), 4, View(slices=3, volume=volume))
    augment = AugmentConfig(rotate_deg=180, scale=0.3, elastic=0.05, warp_share=1, intensity=0)
    same = dataset.images[0:1].repeat(len(dataset), 0)
    pipeline._source._dataset.images = same
    for image, _, _ in pipeline.training(np.arange(10), augment, 0, 0, 1).as_numpy_iterator():
        slices = image[..., 0] if volume else np.moveaxis(image, -1, 1)
        np.testing.assert_array_equal(slices[:, 0], slices[:, 1])
        np.testing.assert_array_equal(slices[:, 2], slices[:, 1])


def test_a_warp_of_nothing_is_a_move(patterned):
    """Cases that are not warped come out of the warp as they come out of `move`."""
    pipeline = Pipeline(patterned("hu"), DataConfig(), 5)
    moved = AugmentConfig(shift_px=5, intensity=0)
    some = moved.model_copy(update={"rotate_deg": 90.0, "warp_share": 0.4})
    one, other = (pipeline.shown(np.arange(10), augment, 3, 0) for augment in (moved, some))
    same = [np.abs(one[row][0] - other[row][0]).max() < 1e-6 for row in range(10)]
    assert 3 <= sum(same) <= 9


# Foreground, mixing


@pytest.fixture
def mostly_empty(store, make_slice):
    """Twenty slices, the first two with a lesion."""
    lesion = np.zeros((8, 8), np.uint8)
    lesion[3:5, 3:5] = 1
    return store([make_slice(z, mask=lesion if z < 2 else None, size_px=8) for z in range(20)])


def test_foreground_is_a_share_of_the_epoch(mostly_empty):
    pipeline = Pipeline(mostly_empty, DataConfig(), 5)

    def share(foreground):
        augment = AugmentConfig(preset="none", foreground=foreground)
        found = pipeline.training(np.arange(20), augment, 0, 0, 20).as_numpy_iterator()
        return np.mean(np.concatenate([mask.any(axis=(1, 2, 3)) for _, mask, _ in found]))

    assert share(0) == share(0.05) == pytest.approx(0.1)
    assert share(0.5) == pytest.approx(0.5, abs=0.06)
    assert share(1) == 1


def test_foreground_without_lesions_is_refused(store, make_slice):
    pipeline = Pipeline(store([make_slice(z) for z in range(4)]), DataConfig(), 2)
    with pytest.raises(ConfigError, match=r"need cases with a lesion. Received: none in the training split"):
        pipeline.training(np.arange(4), AugmentConfig(foreground=0.5), 0, 0, 1)


def test_copy_paste_gives_empty_slices_a_lesion_of_the_training_split(store, make_slice):
    lesion = np.zeros((8, 8), np.uint8)
    lesion[3:5, 3:5] = 1
    slices = [make_slice(z, mask=lesion if z < 2 else None, size_px=8) for z in range(10)]
    for z, item in enumerate(slices):
        item.image[:] = np.where(item.mask, 100 - 200 * z, -900)
        item.image[[0, -1]] = item.image[:, [0, -1]] = -350  # the wall
    pipeline = Pipeline(store(slices), DataConfig(), 5)
    seen = pipeline.shown(np.arange(1, 10), AugmentConfig(preset="none", copy_paste=1), 0, 0)
    for row, (image, mask) in seen.items():
        # Row 0 is not in the split: its 100 HU never show, row 1's -100 HU = 0.833 do.
        assert image.max() == pytest.approx(1250 / 1500)
        if row > 1:
            np.testing.assert_array_equal(mask > 0, image > 0.7)


def test_copied_lesions_stay_within_the_body(phantom):
    from scipy import ndimage

    rows = np.arange(len(phantom))
    pasted, outside = 0, 0
    seen = Pipeline(phantom, DataConfig(), 8).shown(rows, AugmentConfig(preset="none", copy_paste=1), 0, 0)
    for row, (_, mask) in seen.items():
        body = ndimage.binary_fill_holes(np.asarray(phantom.images[row]) > -400)
        new = (mask[..., 0] > 0) & (phantom.consensus(np.array([row]), 2)[0] == 0)
        pasted += new.any()
        outside += (new & ~body).sum()
    assert pasted > 5
    assert outside == 0


def test_what_is_compiled_is_what_the_operations_do_one_by_one(patterned):
    """Every operation, on cases that take part in few or none."""
    import tensorflow as tf

    from lungzoo.data.augment import Augmentation
    from lungzoo.data.preprocess.grey import Scaling

    dataset = patterned("hu")
    augmentation = Augmentation(HEAVY.model_copy(update={"effect_share": 0.5}), 0, Scaling(DataConfig(), "hu"))
    draws = augmentation.tables(10, 0)
    arrays = [np.asarray(array)[:, None] for array in (dataset.images, dataset.consensus(np.arange(10), 1))]
    image, mask = augmentation.change(*map(tf.constant, arrays), draws)
    for row in range(10):
        numbers = {name: values[row : row + 1] for name, values in draws.items()}
        alone = augmentation.change_case(*(tf.constant(array[row : row + 1]) for array in arrays), numbers)
        np.testing.assert_allclose(image[row], alone[0][0], atol=2e-4)
        np.testing.assert_array_equal(mask[row], alone[1][0])


def test_other_numbers_compile_nothing_anew(patterned):
    """A compiled operation that takes a drawn number for a constant would make every batch cost seconds."""
    from lungzoo.data.augment import Augmentation
    from lungzoo.data.preprocess.grey import Scaling

    dataset = patterned("hu")
    augmentation = Augmentation(HEAVY, 0, Scaling(DataConfig(), "hu"))
    arrays = [np.asarray(array)[:4, None] for array in (dataset.images, dataset.consensus(np.arange(10), 1))]
    augmentation.change(*arrays, {name: values[:4] for name, values in augmentation.tables(10, 0).items()})
    began = time.process_time()
    for epoch in range(1, 4):
        augmentation.change(*arrays, {name: values[:4] for name, values in augmentation.tables(10, epoch).items()})
    assert time.process_time() - began < 1


def test_mix_up_takes_from_the_training_split_and_keeps_masks(patterned):
    pipeline = Pipeline(patterned("uint8"), DataConfig(), 5)
    plain, mixed = (
        pipeline.shown(np.arange(10), AugmentConfig(preset="none", mixup=share, effect_share=1), 0, 0)
        for share in (0, 0.5)
    )
    assert any((plain[row][0] != mixed[row][0]).any() for row in plain)
    for row in plain:
        np.testing.assert_array_equal(plain[row][1], mixed[row][1])
