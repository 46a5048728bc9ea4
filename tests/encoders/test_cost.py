"""Multiply-adds, by hand."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from lungzoo.encoders.cost import count_macs
from lungzoo.errors import LungzooError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="multiply-adds are counted on TensorFlow"
)


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        # 10·10 places, kernel 3·3·1·8.
        (layers.Conv2D(8, 3, padding="same"), (10, 10, 1), 7_200),
        # 5·5 places.
        (layers.Conv2D(8, 3, 2, padding="same"), (10, 10, 1), 1_800),
        # Inner 8·8 places.
        (layers.Conv2D(8, 3), (10, 10, 1), 4_608),
        # Two groups: each output sees 2 of 4 channels; 10·10·9·2·6.
        (layers.Conv2D(6, 3, padding="same", groups=2), (10, 10, 4), 10_800),
        # 10·10 places, 9 taps, 4 channels twice.
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (10, 10, 4), 7_200),
        # 10·10·(9·4 + 4·6).
        (layers.SeparableConv2D(6, 3, padding="same"), (10, 10, 4), 6_000),
        # Every one of 5·5 inputs spreads a kernel of 2·2·3·4.
        (layers.Conv2DTranspose(4, 2, 2), (5, 5, 3), 1_200),
        # 4·4·4 places, kernel 27·2·3.
        (layers.Conv3D(3, 3, padding="same"), (4, 4, 4, 2), 10_368),
        # 2·2·2 inputs, kernel 8·2·3.
        (layers.Conv3DTranspose(3, 2, 2), (2, 2, 2, 2), 384),
        (layers.Dense(5), (7,), 35),
        # 10·10 places, 7·5 each.
        (layers.Dense(5), (10, 10, 7), 3_500),
        (layers.EinsumDense("abc,cd->abd", output_shape=(6, 5)), (6, 7), 210),
        (layers.BatchNormalization(), (10, 10, 3), 0),
        (layers.MaxPooling2D(), (10, 10, 3), 0),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else "",
)
def test_by_hand(layer, shape, macs):
    image = keras.Input(shape)
    assert count_macs(keras.Model(image, layer(image)), shape) == macs


def test_attention():
    tokens = keras.Input((6, 8))
    model = keras.Model(tokens, layers.MultiHeadAttention(2, 4)(tokens, tokens))
    # Four projections of 6·8·8, scores and their sum of 2 heads · 6·6·4 each.
    assert count_macs(model, (6, 8)) == 4 * 6 * 8 * 8 + 2 * (2 * 6 * 6 * 4)


def test_a_model_of_free_size_is_counted_at_the_size_given():
    image = keras.Input((None, None, 1))
    inner = keras.Model(image, layers.Conv2D(8, 3, padding="same")(image), name="inner")
    model = keras.Model(image, layers.Conv2D(1, 1)(inner(image)))
    assert count_macs(model, (10, 10, 1)) == 7_200 + 800
    assert count_macs(model, (20, 20, 1)) == 4 * 8_000


def test_what_the_shape_does_not_settle_is_refused():
    image = keras.Input((None, None, 1))
    model = keras.Model(image, layers.Conv2D(8, 3)(image))
    with pytest.raises(LungzooError, match="cannot be counted: the input shape does not settle its size"):
        count_macs(model, (None, 10, 1))
