"""The fused convolution equals enlarging, concatenating and convolving."""

import numpy as np
import pytest
from keras import layers

from lungzoo.decoders.layers.growing import GrowingConv2D


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (5, 4)])
def test_equals_its_three_parts(sides, skip):
    x = values(2, *sides, 3)
    inputs = [x, values(2, 2 * sides[0], 2 * sides[1], 2, seed=1)] if skip else x
    fused, plain = GrowingConv2D(4), layers.Conv2D(4, 3, padding="same", use_bias=False)
    found = fused(inputs)
    large = layers.UpSampling2D(2)(x)
    whole = np.concatenate([large, inputs[1]], -1) if skip else large
    plain.build(whole.shape)
    plain.set_weights(fused.get_weights())
    np.testing.assert_allclose(found, plain(whole), atol=1e-5)
    assert fused.compute_output_shape([one.shape for one in inputs] if skip else x.shape) == tuple(found.shape)


def test_one_pixel_by_hand():
    """A single pixel of 1 becomes four; with weights 1…9 each of them sums the weights that fall on the other three."""
    fused = GrowingConv2D(1)
    fused.build((None, 1, 1, 1))
    fused.set_weights([np.arange(1, 10, dtype="float32").reshape(3, 3, 1, 1)])
    # Upper left: weights 5 6 8 9; upper right: 4 5 7 8; lower left: 2 3 5 6; lower right: 1 2 4 5.
    np.testing.assert_allclose(np.asarray(fused(np.ones((1, 1, 1, 1), "float32")))[0, ..., 0], [[28, 24], [16, 12]])
