"""Hand-worked numbers for the layers that resize, pool and attend."""

import keras
import numpy as np
import pytest

from lungzoo.decoders.layers.attention import PositionAttention
from lungzoo.decoders.layers.resampling import (
    AdaptiveAveragePooling,
    BilinearUpsampling,
    NearestUpsampling,
    ResizeLike,
)  # fmt: skip


def column(*values):
    """A map of one row."""
    return np.array(values, "float32").reshape(1, 1, -1, 1)


def flat(x):
    return np.asarray(x).ravel()


def test_nearest_upsampling_by_hand():
    assert flat(NearestUpsampling(2)(column(1, 2)))[:4].tolist() == [1, 1, 2, 2]
    assert NearestUpsampling((1, 3))(column(1, 2)).shape == (1, 1, 6, 1)


def test_nearest_upsampling_keeps_known_sides():
    """TensorFlow's own repetition forgets the first of them, which nobody would see in the values."""
    import tensorflow as tf

    traced = tf.function(lambda x: NearestUpsampling(2)(x)).get_concrete_function(tf.TensorSpec((None, 3, 5, 4)))
    assert tuple(traced.output_shapes) == (None, 6, 10, 4)


def test_bilinear_upsampling_by_hand():
    """New centres lie a quarter of a pixel beside the old ones: 0.75 and 0.25; the border repeats."""
    np.testing.assert_allclose(flat(BilinearUpsampling(2)(column(0, 4, 8)))[:6], [0, 1, 3, 5, 7, 8])
    square = np.array([[0, 4], [8, 12]], "float32").reshape(1, 2, 2, 1)
    np.testing.assert_allclose(
        np.asarray(BilinearUpsampling(2)(square))[0, :, :, 0],
        [[0, 1, 3, 4], [2, 3, 5, 6], [6, 7, 9, 10], [8, 9, 11, 12]],
    )


def test_bilinear_upsampling_by_an_odd_factor():
    np.testing.assert_allclose(flat(BilinearUpsampling(3)(column(0, 3)))[:6], [0, 0, 1, 2, 3, 3], atol=1e-6)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bilinear_upsampling_equals_resizing(factor):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype("float32")
    wanted = keras.ops.image.resize(x, (3 * factor, 5 * factor), interpolation="bilinear", data_format="channels_last")
    np.testing.assert_allclose(BilinearUpsampling(factor)(x), wanted, rtol=1e-5, atol=1e-5)


def test_adaptive_pooling_by_hand():
    """Five pixels in two cells are pixels 0–2 and 2–4; in three cells 0–1, 1–3 and 3–4."""
    x = np.array([1, 2, 3, 4, 10], "float32")
    x = np.tile(x, (5, 1)).reshape(1, 5, 5, 1)
    np.testing.assert_allclose(np.asarray(AdaptiveAveragePooling(2)(x))[0, 0, :, 0], [2, 17 / 3], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(AdaptiveAveragePooling(3)(x))[0, 0, :, 0], [1.5, 3, 7], rtol=1e-6)
    np.testing.assert_allclose(flat(AdaptiveAveragePooling(1)(x)), [4], rtol=1e-6)


def test_adaptive_pooling_of_fewer_pixels_than_cells():
    assert (flat(AdaptiveAveragePooling(6)(np.full((1, 1, 1, 1), 7.0, "float32"))) == 7).all()
    pooled = np.asarray(AdaptiveAveragePooling(3)(np.array([[1, 2], [3, 4]], "float32").reshape(1, 2, 2, 1)))
    np.testing.assert_allclose(pooled[0, :, :, 0], [[1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]])


def test_resizing_by_hand():
    np.testing.assert_allclose(flat(ResizeLike()([column(0, 4), column(0, 0, 0, 0)])), [0, 1, 3, 4], rtol=1e-6)
    np.testing.assert_allclose(flat(ResizeLike()([column(5), column(0, 0, 0)])), [5, 5, 5])


def test_position_attention_by_hand():
    """A query that matches one key far better than the others takes its value; one that matches none, the mean."""
    query, key, value = column(1000, 0), column(1, -1), column(3, 5)
    np.testing.assert_allclose(flat(PositionAttention()([query, key, value])), [3, 4], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shapes", "wanted"),
    [
        (BilinearUpsampling(4), (None, None, 3, 8), (None, None, 12, 8)),
        (AdaptiveAveragePooling(6), (None, None, 3, 8), (None, 6, 6, 8)),
        (ResizeLike(), [(None, 1, 1, 8), (None, None, 3, 2)], (None, None, 3, 8)),
        (PositionAttention(), [(2, 3, 4, 1), (2, 3, 4, 1), (2, 3, 4, 8)], (2, 3, 4, 8)),
    ],
)
def test_shapes_and_settings(layer, shapes, wanted):
    assert tuple(layer.compute_output_shape(shapes)) == wanted
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
