"""Polygons whose pixels can be counted by hand."""

import numpy as np
import pytest

from lungzoo.data.dicom.contours import crossing_count, fill, shoelace_area


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def drawn(mask: np.ndarray) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in mask]


def test_a_triangle():
    # At y = 1, 2, 3, 4 the sloping side is at x = 5 - y + 0.5.
    triangle = np.array([(0.5, 0.5), (5.0, 0.5), (0.5, 5.0)])
    assert drawn(fill([triangle], (6, 6))) == ["......", ".####.", ".###..", ".##...", ".#....", "......"]


def test_a_hole_and_an_island_within_it():
    mask = fill([box(-0.5, -0.5, 6.5, 6.5), box(0.5, 0.5, 5.5, 5.5), box(2.5, 2.5, 3.5, 3.5)], (7, 7))
    assert drawn(mask) == ["#######", *["#.....#"] * 2, "#..#..#", *["#.....#"] * 2, "#######"]


def test_a_keyhole_equals_a_hole():
    outer, inner = box(0.5, 0.5, 7.5, 7.5), box(2.5, 2.5, 5.5, 5.5)
    keyhole = np.vstack([outer, outer[:1], inner[[0, 3, 2, 1, 0]]])
    mask = fill([keyhole], (9, 9))
    assert mask.sum() == 49 - 9
    np.testing.assert_array_equal(mask, fill([outer, inner], (9, 9)))


def test_neighbours_share_an_edge_without_gap_or_overlap():
    left, right = fill([box(1, 1, 3, 4)], (6, 6)), fill([box(3, 1, 5, 4)], (6, 6))
    assert not (left & right).any()
    assert drawn(left | right) == ["......", *[".####."] * 3, "......", "......"]


def test_two_apart_and_one_beyond_the_image():
    mask = fill([box(0.5, 0.5, 1.5, 1.5), box(3.5, -9, 99, 99)], (4, 6))
    assert drawn(mask) == ["....##", ".#..##", "....##", "....##"]


def test_nothing():
    assert not fill([], (3, 3)).any()
    assert not fill([np.zeros((3, 2))], (3, 3)).any()


@pytest.mark.parametrize("seed", range(5))
def test_as_many_pixels_as_the_polygon_has_area(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radii = rng.uniform(40, 60, 40)
    polygon = 100 + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])
    assert fill([polygon], (200, 200)).sum() == pytest.approx(shoelace_area(polygon), rel=0.01)


def test_agrees_with_matplotlib_on_centres_that_lie_on_no_edge():
    from matplotlib.path import Path

    rng = np.random.default_rng(7)
    polygon = rng.uniform(0, 30, (12, 2))  # crosses itself
    y, x = np.mgrid[:30, :30]
    expected = np.zeros((30, 30), int)
    for start in range(len(polygon)):
        triangle = polygon[[0, start, (start + 1) % len(polygon)]]
        expected += Path(triangle).contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(30, 30)
    np.testing.assert_array_equal(fill([polygon], (30, 30)), expected % 2 == 1)


def test_shoelace():
    assert shoelace_area(box(1, 1, 4, 3)) == 6
    assert shoelace_area(np.array([(0, 0), (4, 0), (0, 3)])) == 6


def test_what_drawing_costs():
    assert crossing_count(box(0, 0, 1, 10), 20) == 4 + 20
    assert crossing_count(box(0, -1e6, 1, 1e6), 20) == 4 + 40
