"""Grids by hand, and that turning a volume and back changes nothing."""

import itertools

import numpy as np
import pytest

from lungzoo.data.geometry import Geometry, from_axial, to_axial
from lungzoo.errors import DatasetError

STRAIGHT = Geometry(((0.5, 0, 0, -10), (0, 0.7, 0, -20), (0, 0, 2.5, 100)))
CODES = ["".join(letters[way] for letters, way in zip(order, ways, strict=True))
         for order in itertools.permutations(("RL", "AP", "IS"))
         for ways in itertools.product((0, 1), repeat=3)]  # fmt: skip


def oriented(code: str, sizes: tuple[int, int, int] = (3, 4, 5)) -> tuple[np.ndarray, Geometry]:
    """An array whose values are x + 10 y + 100 z of the patient's axes, stored along `code`."""
    matrix, grids = np.zeros((3, 4)), [np.zeros(sizes)] * 3
    spacing, origin = (0.5, 0.7, 2.5), [-10.0, -20.0, 100.0]
    index = np.indices(sizes)
    for axis, letter in enumerate(code):
        row = next(row for row, pair in enumerate(("RL", "AP", "IS")) if letter in pair)
        forward = letter in "LPS"
        matrix[row, axis] = spacing[row] if forward else -spacing[row]
        origin[row] += 0 if forward else spacing[row] * (sizes[axis] - 1)
        grids[row] = index[axis] if forward else sizes[axis] - 1 - index[axis]
    matrix[:, 3] = origin
    return grids[0] + 10 * grids[1] + 100 * grids[2], Geometry.from_matrix(matrix)


def test_by_hand():
    assert STRAIGHT.spacing_mm == (2.5, 0.7, 0.5)
    assert STRAIGHT.origin_mm == (-10, -20, 100)
    assert STRAIGHT.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert STRAIGHT.code == "LPS"
    assert STRAIGHT.to_mm(np.array([2, 1, 4])).tolist() == [-8.0, -19.3, 105.0]
    np.testing.assert_allclose(STRAIGHT.to_index(np.array([-8.0, -19.3, 105.0])), [2, 1, 4])
    assert np.diag(STRAIGHT.ras).tolist() == [-0.5, -0.7, 2.5, 1]
    assert Geometry.from_ras(STRAIGHT.ras) == STRAIGHT
    assert Geometry.from_itk((0.5, 0.7, 2.5), (-10, -20, 100), (1, 0, 0, 0, 1, 0, 0, 0, 1)) == STRAIGHT


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_is_turned_and_turned_back(code):
    array, geometry = oriented(code)
    assert geometry.code == code
    turned, straight = to_axial(array, geometry)
    assert straight.code == "LPS"
    np.testing.assert_allclose(straight.matrix, STRAIGHT.matrix, atol=1e-12)
    z, y, x = np.indices(turned.shape)
    np.testing.assert_array_equal(turned, x + 10 * y + 100 * z)
    np.testing.assert_array_equal(from_axial(turned, code), array)


def test_an_oblique_volume_keeps_its_angle():
    angle = np.radians(10)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.column_stack([turn @ np.diag([0.5, 0.7, 2.5]), [0, 0, 0]])
    geometry = Geometry.from_matrix(matrix)
    assert geometry.code == "LPS"
    assert geometry.spacing_mm == pytest.approx((2.5, 0.7, 0.5))
    assert to_axial(np.zeros((2, 2, 2)), geometry)[1] == geometry


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.full((3, 4), np.nan), "its geometry is not finite"),
        (np.zeros((3, 4)), "have no size along an axis"),
        ([[1, 0, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, 0]], r"not at right angles, by 16\.7°: a tilted gantry"),
    ],
)
def test_what_is_no_grid(matrix, text):
    with pytest.raises(DatasetError, match=text):
        Geometry.from_matrix(np.array(matrix, float))
