"""Sizes and places of lesions, worked out by hand and of balls."""

from collections.abc import Callable

import numpy as np
import pytest

from lungzoo.inference.lesions import Box, longest_line, measure_lesions
from lungzoo.inference.volume import Volume


@pytest.mark.parametrize(
    ("pixels", "spacing", "expected"),
    [
        ([[1]], (0.5, 0.5), 0.5),
        ([[1, 1, 1, 1, 1]], (0.7, 0.7), 3.5),
        ([[1], [1], [1]], (2.0, 1.0), 6.0),
        ([[1, 0], [0, 1]], (1.0, 1.0), 5**0.5),  # from (-0.5, 0) to (1.5, 1)
        ([[1, 1, 1], [1, 0, 0], [1, 0, 0]], (1.0, 1.0), 13**0.5),  # from (-0.5, 2) to (2.5, 0)
    ],
)
def test_longest_line(pixels: object, spacing: tuple[float, float], expected: float) -> None:
    assert longest_line(np.array(pixels, bool), np.array(spacing)) == pytest.approx(expected)


@pytest.mark.parametrize("diameter_mm", [4.0, 8.3, 15.0, 30.0])
@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR"])
def test_balls_have_their_diameter_volume_and_centre(
    draw_balls: Callable[..., np.ndarray], make_volume: Callable[..., Volume], diameter_mm: float, code: str
) -> None:
    centre = (31.1, 27.3, 25.6)
    mask = draw_balls((32, 80, 76), (2.0, 0.75, 0.75), [(centre, diameter_mm)])
    volume = make_volume(np.zeros(mask.shape, np.int16), source_code=code)
    (lesion,) = measure_lesions(mask, mask * 0.75, volume.spacing_mm, volume.info.geometry)
    assert lesion.longest_diameter_mm == pytest.approx(diameter_mm, abs=max(1.0, 0.1 * diameter_mm))
    assert lesion.centroid_mm == pytest.approx((-100 + 25.6, -80 + 27.3, -300 + 31.1), abs=1.0)
    assert lesion.volume_mm3 == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.3 if diameter_mm < 5 else 0.08)
    assert lesion.probability == pytest.approx(0.75)
    assert lesion.first_z <= 15.55 <= lesion.last_z + 1


def test_the_largest_comes_first_and_slices_are_told() -> None:
    mask = np.zeros((5, 4, 6), np.uint8)
    mask[1, 0, 0] = 1
    mask[2:5, 2:4, 4:6] = 1
    mask[3, 2, 3] = 1
    large, small = measure_lesions(mask, mask.astype(np.float16), (2.0, 1.0, 1.0))
    assert (large.number, large.voxels, large.volume_mm3) == (1, 13, 26.0)
    assert (large.first_z, large.last_z, large.longest_diameter_z) == (2, 4, 3)
    assert large.centroid_mm is None
    assert large.centroid_zyx == pytest.approx((3.0, (6 * 2 + 6 * 3 + 2) / 13, (6 * 4 + 6 * 5 + 3) / 13))
    assert (small.number, small.voxels, small.first_z, small.last_z) == (2, 1, 1, 1)


def test_unknown_spacing() -> None:
    mask = np.ones((1, 1, 3), np.uint8)
    (lesion,) = measure_lesions(mask, mask.astype(float), (float("nan"),) * 3)
    assert lesion.voxels == 3
    assert np.isnan(lesion.volume_mm3)
    assert np.isnan(lesion.longest_diameter_mm)


def test_the_class_counts_slices_by_how_much_lesion_they_hold() -> None:
    mask = np.zeros((4, 1, 4), np.uint8)
    mask[0, 0, :3], mask[1, 0, 0], mask[2, 0, 0] = 1, 1, 1
    said = {0: [0.8, 0.2], 1: [0.4, 0.6]}

    def name(z: int, numbers: np.ndarray, lesions: list[tuple[int, Box]]) -> np.ndarray | None:
        assert (numbers.shape, [number for number, _ in lesions]) == ((1, 4), [1])
        assert (numbers[lesions[0][1]] == 1).all()
        return np.array([said[z]]) if z in said else None

    (lesion,) = measure_lesions(mask, mask.astype(float), (1.0, 1.0, 1.0), name_classes=name)
    assert lesion.labels == pytest.approx(((3 * 0.8 + 0.4) / 4, (3 * 0.2 + 0.6) / 4))


def test_no_lesion() -> None:
    assert measure_lesions(np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3)), (1.0, 1.0, 1.0)) == []
