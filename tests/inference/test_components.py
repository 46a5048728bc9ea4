"""Components of a volume, found slice by slice."""

import numpy as np
import pytest

from lungzoo.inference.components import Components, keep_components


def test_voxels_that_touch_at_a_corner_across_slices_are_one() -> None:
    mask = np.zeros((3, 4, 4), np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = 1  # a diagonal
    mask[2, 0, 3] = 1  # two columns from anything in the slice below
    found = Components(mask)
    assert found.count == 2
    assert found.voxels.tolist() == [3, 1]
    labels = dict(found.slices())
    assert (labels[0][0, 0], labels[1][1, 1], labels[2][2, 2], labels[2][0, 3]) == (1, 1, 1, 2)


def test_two_parts_of_a_slice_that_join_further_up_are_one() -> None:
    mask = np.zeros((2, 1, 5), np.uint8)
    mask[0, 0] = [1, 0, 0, 0, 1]
    mask[1, 0] = [1, 1, 1, 1, 1]
    assert Components(mask).voxels.tolist() == [7]


def test_an_empty_slice_parts() -> None:
    mask = np.zeros((3, 2, 2), np.uint8)
    mask[0] = mask[2] = 1
    assert Components(mask).voxels.tolist() == [4, 4]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_same_as_scipy_finds_in_the_whole(seed: int, share: float) -> None:
    from scipy.ndimage import label

    mask = np.random.default_rng(seed).random((9, 13, 11)) < share
    expected, count = label(mask, np.ones((3, 3, 3)))
    found = Components(mask)
    labels = np.zeros(mask.shape, int)
    for z, plane in found.slices():
        labels[z] = plane
    assert found.count == count
    pairs = {(int(a), int(b)) for a, b in zip(expected.ravel(), labels.ravel(), strict=True)}
    assert len(pairs) == count + (0 if mask.all() else 1)  # one to one, the background with itself
    assert found.voxels.tolist() == np.bincount(labels.ravel())[1:].tolist()


def test_nothing() -> None:
    found = Components(np.zeros((2, 3, 3), np.uint8))
    assert (found.count, found.voxels.tolist(), list(found.slices())) == (0, [], [])


def test_some_are_kept() -> None:
    mask = np.zeros((2, 1, 5), np.uint8)
    mask[:, 0] = [[1, 0, 1, 0, 1], [1, 0, 0, 0, 0]]
    found = Components(mask)
    assert found.voxels.tolist() == [2, 1, 1]
    kept = keep_components(mask, np.array([True, False, True]), found)
    assert kept[:, 0].tolist() == [[1, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    assert keep_components(mask, np.ones(3, bool), found) is mask
