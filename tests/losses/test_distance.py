"""The signed distance against SciPy's, and by hand."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from lungzoo.losses._distance import signed_distance_px


def reference(mask: np.ndarray) -> np.ndarray:
    """One case without its channel."""
    outside, inside = distance_transform_edt(mask == 0), distance_transform_edt(mask)
    return np.where(mask > 0, 0.5 - inside, outside - 0.5)


@pytest.mark.parametrize("shape", [(13, 17), (32, 8), (1, 9), (5, 7, 6)])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_equals_scipy(shape, share):
    rng = np.random.default_rng(0)
    mask = (rng.random((3, *shape, 2)) < share).astype("float32")
    mask[:, *(0,) * len(shape)], mask[:, *(-1,) * len(shape)] = 0, 1
    distance = np.asarray(signed_distance_px(mask))
    for case in range(3):
        for channel in range(2):
            expected = reference(mask[case, ..., channel])
            np.testing.assert_allclose(distance[case, ..., channel], expected, rtol=1e-6, atol=1e-6)


def test_by_hand():
    mask = np.zeros((1, 3, 3, 1), "float32")
    mask[0, 0, 0] = 1
    side, corner, diagonal = 2 - 0.5, 8**0.5 - 0.5, 2**0.5 - 0.5
    expected = [[-0.5, 0.5, side], [0.5, diagonal, 5**0.5 - 0.5], [side, 5**0.5 - 0.5, corner]]
    np.testing.assert_allclose(np.asarray(signed_distance_px(mask))[0, ..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize("value", [0, 1])
def test_without_a_border_it_is_zero(value):
    mask = np.full((1, 4, 5, 1), value, "float32")
    assert (np.asarray(signed_distance_px(mask)) == 0).all()


def test_no_gradient_passes(value_and_gradient):
    def loss(mask, logits):
        from keras import ops

        return ops.sum(logits) + ops.sum(signed_distance_px(logits))

    mask = np.eye(4, dtype="float32")[None, ..., None]
    for jit in (False, True):
        _, gradient = value_and_gradient(loss, mask, mask, jit=jit)
        assert (gradient == 1).all()
