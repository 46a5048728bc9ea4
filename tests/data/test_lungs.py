"""Lung fields found slice by slice are those of the whole volume at once, to the last bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from lungzoo.data.preprocess import lungs, threshold
from lungzoo.data.preprocess.lungs import lung_mask
from lungzoo.data.preprocess.parts import Parts
from lungzoo.data.preprocess.threshold import optimal_threshold


def threshold_at_once(image: np.ndarray) -> float:
    """The threshold, all values in memory."""
    values = np.asarray(image, np.float32).ravel()
    found = float(values.min() + values.max()) / 2
    for _ in range(50):
        dark = values <= found
        if dark.all() or not dark.any():
            return found
        better = float(values[dark].mean() + values[~dark].mean()) / 2
        if abs(better - found) < 0.5:
            return better
        found = better
    return found


def mask_at_once(image: np.ndarray) -> np.ndarray:
    """The lung fields, labels of the whole volume in memory."""
    planes = image.reshape(-1, *image.shape[-2:])
    bright = planes >= threshold_at_once(image)
    dark = np.stack([lungs._body(plane) for plane in bright]) & ~bright
    labels, _ = ndimage.label(dark)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep = sizes >= max(0.001 * dark[0].size, 0.05 * sizes.max(), 1)
    ends = np.array([[0, 0], *([part[0].start, part[0].stop] for part in ndimage.find_objects(labels))])
    first, last = ends[sizes.argmax()]
    within = (ends[:, 0] >= first) & (ends[:, 1] <= last) & (np.diff(ends)[:, 0] >= 4)
    chosen = (keep | (within & (sizes >= 0.003 * sizes.max())))[labels]
    return np.stack([lungs._closed(plane) if plane.any() else plane for plane in chosen]).reshape(image.shape)


def scan(seed: int, shape_zyx: tuple[int, int, int] = (12, 80, 80)) -> np.ndarray:
    """Noise in a body: bubbles of all sizes that merge and part from slice to slice."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=shape_zyx), (1, 2.0, 2.0))
    image = np.where(noise > rng.uniform(-0.02, 0.05), 40, -850) + rng.integers(-60, 60, shape_zyx)
    image[:, :6], image[:, -6:], image[:, :, :6], image[:, :, -6:] = -1000, -1000, -1000, -1000
    image[:, 6:12, 6:-6] = image[:, -12:-6, 6:-6] = image[:, 6:-6, 6:12] = image[:, 6:-6, -12:-6] = 40
    return image.astype(np.int16)


def twins() -> np.ndarray:
    """Two parts of the same size, the first of 5 slices and the other of 10, and a small one within the second."""
    image = np.full((12, 64, 64), 40, np.int16)
    image[:5, 10:30, 10:20] = image[2:12, 40:50, 30:40] = -850
    image[6:11, 20:23, 40:43] = -850
    return image


@pytest.mark.parametrize(
    "image",
    [
        *(scan(seed) for seed in range(4)),
        scan(4)[5],
        scan(5)[:, ::2, ::2],
        ((scan(6).astype(int) + 1100) // 5).astype(np.uint8),
        scan(7).astype(np.float64) + 0.1,
        twins(),
        np.full((3, 32, 32), -850, np.int16),
    ],
    ids=[*(f"scan {seed}" for seed in range(4)), "slice", "strides", "8 bits", "float64", "twins", "nothing"],
)
def test_the_lungs_are_those_of_the_volume_at_once(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threshold, "_BLOCK", 1024)
    expected = mask_at_once(image)
    assert expected.any() == (image.max() > 0)
    found = lung_mask(image)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("block", "count"), [(256, 100_003), (1000, 77_777), (threshold._BLOCK, 1_200_001)])
def test_the_threshold_is_that_of_all_values_at_once(block: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of float32 depend on their order: an exact sum differs in the last digits, and so would the threshold."""
    monkeypatch.setattr(threshold, "_BLOCK", block)
    rng = np.random.default_rng(count)
    values = np.where(rng.random(count) < 0.4, rng.normal(-850, 90, count), rng.normal(30, 200, count)).astype(np.int16)
    assert optimal_threshold(values) == threshold_at_once(values)
    planes = values[: count // 1000 * 1000].reshape(-1, 20, 50)
    assert optimal_threshold(planes) == threshold_at_once(planes)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.35, 0.5, 1.0])
def test_parts_are_those_of_scipy(share: float) -> None:
    mask = np.random.default_rng(0).random((7, 20, 23)) < share
    labels, count = ndimage.label(mask)
    parts = Parts(mask)
    assert parts.sizes.tolist() == [0, *np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()]
    expected = [[part[0].start, part[0].stop] for part in ndimage.find_objects(labels)]
    assert parts.ends.tolist() == [[0, 0], *expected]
    keep = np.arange(count + 1) % 3 == 1
    np.testing.assert_array_equal(np.stack(list(parts.chosen(keep))), keep[labels])


def test_finding_the_lungs_takes_little_memory() -> None:
    """Two bytes a voxel and what a few slices need; labels of the whole volume would take four, and their counts 8."""
    image = np.concatenate([scan(0, (20, 64, 64))] * 16)
    tracemalloc.start()
    lung_mask(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * image.size
