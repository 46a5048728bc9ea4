"""Blocks that decoders share, and what only one decoder promises."""

import keras
import numpy as np
import pytest

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import normalise, scse, upsample
from lungzoo.decoders.contract import DecoderStyle


@pytest.mark.parametrize(
    ("norm", "channels", "groups"), [("group", 32, 4), ("group", 12, 3), ("group", 7, 7), ("instance", 6, 6)]
)
def test_groups(norm, channels, groups):
    x = keras.Input((4, 4, channels))
    model = keras.Model(x, normalise(x, DecoderStyle((8,), norm=norm), "decoder_norm"))
    assert model.get_layer("decoder_norm").groups == groups


def test_scse_by_hand():
    """With weights of zero both sigmoids are one half, and the halves add up to the input."""
    x = keras.Input((None, None, 4))
    model = keras.Model(x, scse(x, "decoder_x"))
    picture = np.random.default_rng(0).random((1, 4, 6, 4), "float32") + 1
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    np.testing.assert_allclose(model(picture), picture, rtol=1e-6)

    place = model.get_layer("decoder_x_place")
    place.set_weights([np.ones_like(weight) for weight in place.get_weights()])
    gain = np.asarray(model(picture)) / picture
    total = picture.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(gain, np.broadcast_to(0.5 + 1 / (1 + np.exp(-total)), gain.shape), rtol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4, 16])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear", "transpose"])
def test_upsampling_multiplies_both_sides(upsampling, factor):
    x = keras.Input((None, None, 3))
    model = keras.Model(x, upsample(x, DecoderStyle((8,), upsampling=upsampling), "decoder_x", factor=factor))
    assert model(np.zeros((1, 2, 3, 3), "float32")).shape == (1, 2 * factor, 3 * factor, 3)


def test_the_default_unet_is_that_of_segmentation_models():
    """Two convolutions without bias per level, each with BatchNorm; [upsampled, skip]; no skip at full resolution."""
    skips = {"P1": 3, "P2": 4, "P3": 5, "P4": 6, "P5": 7}
    pyramid = {level: keras.Input((None, None, channels), name=level) for level, channels in skips.items()}
    spec = DECODERS.get("unet")
    model = keras.Model(pyramid, spec.build(pyramid, DecoderStyle(spec.channels)).features)
    shapes, inputs = [], 7
    for channels, skip in zip(spec.channels, (6, 5, 4, 3, 0), strict=True):
        for width in (inputs + skip, channels):
            shapes += [(3, 3, width, channels), (channels,), (channels,)]
        inputs = channels
    assert [tuple(variable.shape) for variable in model.trainable_variables] == shapes
    skip = model.get_layer("decoder_P4_skip")
    assert skip.input[0] is model.get_layer("decoder_P4_up").output
    assert skip.input[1] is pyramid["P4"]


def test_the_linear_probe_is_a_linear_map_of_each_level():
    x = keras.Input((None, None, 2)), keras.Input((None, None, 1))
    decoded = DECODERS.get("linear").build({"P1": x[0], "P2": x[1]}, DecoderStyle((2,)))
    model = keras.Model(x, decoded.features)
    model.get_layer("decoder_P1_linear").kernel.assign(np.array([[[[1, 10], [2, 20]]]], "float32"))
    model.get_layer("decoder_P2_linear").kernel.assign(np.array([[[[3, 4]]]], "float32"))
    fine, coarse = np.arange(8, dtype="float32").reshape(1, 2, 2, 2), np.full((1, 1, 1, 1), 9, "float32")
    features = np.asarray(model([fine, coarse]))
    assert len(model.weights) == 2
    np.testing.assert_array_equal(features[0, ::2, ::2, 0], [[2, 8], [14, 20]])
    np.testing.assert_array_equal(features[..., 1], 10 * features[..., 0])
    assert (features[..., 2:] == [27, 36]).all()


def test_lite_convolves_nothing_at_full_resolution():
    pyramid = {
        f"P{number}": keras.Input((32 // 2**number, 32 // 2**number, 4), name=f"P{number}") for number in range(1, 6)
    }
    spec = DECODERS.get("lite")
    model = keras.Model(pyramid, spec.build(pyramid, DecoderStyle(spec.channels)).features)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert max(layer.output.shape[1] for layer in convolutions) == 16
    assert model.output.shape == (None, 32, 32, 16)
