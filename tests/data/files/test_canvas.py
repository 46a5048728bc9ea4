import numpy as np
import pytest

from lungzoo.data.case import VolumeInfo
from lungzoo.data.files.canvas import centre_square, square_grid
from lungzoo.data.geometry import Geometry, from_axial, to_axial


def test_crop_and_pad():
    array = np.arange(12).reshape(1, 2, 6)
    assert centre_square(array, 4, -1).tolist() == [[[-1] * 4, [1, 2, 3, 4], [7, 8, 9, 10], [-1] * 4]]
    assert centre_square(np.array([[[1, 2], [3, 4]]]), 3, 0).tolist() == [[[0, 0, 0], [0, 1, 2], [0, 3, 4]]]


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("size_px", [3, 4, 9])
def test_voxels_stay_where_they_are(signs, order, size_px):
    matrix = np.zeros((3, 4))
    matrix[list(order), [0, 1, 2]] = np.array([0.5, 0.75, 2.5]) * signs
    matrix[:, 3] = [10, 20, 30]
    source = Geometry.from_matrix(matrix)
    stored = np.arange(6 * 5 * 7).reshape(6, 5, 7) + 1
    turned, geometry = to_axial(stored, source)
    square = square_grid(VolumeInfo("v", turned.shape, geometry, source), size_px)
    cut = centre_square(turned, size_px, 0)
    back = from_axial(cut, square.source_geometry.code)
    assert square.shape_zyx == cut.shape
    assert square.source_geometry.code == source.code
    for value in cut[cut > 0]:
        there = source.matrix[:3] @ [*np.argwhere(stored == value)[0], 1]
        assert square.geometry.to_mm(np.argwhere(cut == value)[0]) == pytest.approx(there)
        assert square.source_geometry.matrix[:3] @ [*np.argwhere(back == value)[0], 1] == pytest.approx(there)
