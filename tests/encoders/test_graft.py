"""Grafted networks: exact arithmetic of the published ones, under lasting names."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lungzoo.encoders import ENCODERS, graft
from lungzoo.encoders.contract import build_encoder


def published(builder, preprocess, encoder_name, monkeypatch, weights=None, **arguments):
    """Return (published network, its preprocessing, our encoder with its weights).

    Its random weights play the part of a downloaded file.
    """
    keras.utils.set_random_seed(3)
    network = builder(input_shape=(None, None, 3), include_top=False, weights=None, **arguments)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.linspace(-0.1, 0.1, layer.moving_mean.shape[0]))
    name = builder.__name__

    def fake(*args, weights=None, **kwargs):
        return network

    monkeypatch.setattr(keras.applications, name, fake)
    return network, preprocess, build_encoder(ENCODERS.get(encoder_name), in_channels=3, weights="imagenet")


@pytest.fixture
def colour():
    return np.random.default_rng(2).random((1, 64, 64, 3), "float32")


@pytest.mark.parametrize(
    ("builder", "module", "encoder"),
    [
        ("ResNet50", "resnet50", "resnet50"),
        ("VGG16", "vgg16", "vgg16"),
        ("MobileNetV2", "mobilenet_v2", "mobilenetv2"),
        pytest.param("DenseNet121", "densenet", "densenet121", marks=pytest.mark.slow),
    ],
)
def test_features_are_those_of_the_published_network(builder, module, encoder, colour, monkeypatch):
    network, preprocess, ours = published(
        getattr(keras.applications, builder), getattr(keras.applications, module).preprocess_input, encoder, monkeypatch
    )
    expected = np.asarray(network(preprocess(255 * colour.copy()), training=False))
    got = np.asarray(ours(colour, training=False)["P5"])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_convnext_is_exact_though_its_convolutions_are_depthwise(colour, monkeypatch):
    network, _, ours = published(
        keras.applications.ConvNeXtTiny, None, "convnexttiny", monkeypatch, include_preprocessing=False
    )
    mean, std = np.array(graft.IMAGENET_MEAN, "float32"), np.array(graft.IMAGENET_STD, "float32")
    expected = np.asarray(network((colour - mean) / std, training=False))
    np.testing.assert_allclose(np.asarray(ours(colour, training=False)["P5"]), expected, rtol=1e-4, atol=1e-4)
    assert any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in ours.layers)


def test_mobilenetv2_with_its_imagenet_weights(shared_dir, colour, monkeypatch):
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    file = shared_dir / "weights" / "keras_home" / "models" / name
    if not file.exists():
        pytest.skip(f"no {file}")
    network = keras.applications.MobileNetV2((64, 64, 3), 0.35, include_top=False, weights=None)
    network.load_weights(file)
    monkeypatch.setattr(keras.applications, "MobileNetV2", lambda *args, **kwargs: network)
    encoder = build_encoder(ENCODERS.get("mobilenetv2"), 3, weights="imagenet", options={"alpha": 0.35})
    expected = np.asarray(network(2 * colour - 1, training=False))
    np.testing.assert_allclose(np.asarray(encoder(colour, training=False)["P5"]), expected, rtol=1e-4, atol=1e-4)


def test_names_start_from_zero_in_every_build():
    def build():
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 1)(image)
        y = keras.layers.Conv2D(2, 1)(x)
        return keras.Model(image, keras.layers.ReLU()(keras.layers.Conv2D(2, 1, name="conv")(y) + x))

    first, second = (sorted(graft.lasting_names(build()).values()) for _ in range(2))
    assert first == second == ["add", "conv", "conv2d", "conv2d_1", "input_layer", "re_lu"]


def test_same_padding_lands_on_exact_strides_only_where_asked():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3, 2, name="first")(image)
    reference = keras.Model(image, keras.layers.Conv2D(2, 3, 2, name="second")(x))
    tensor = keras.Input((32, 32, 3), name="image")
    skips = {"P1": "first", "P2": "second"}
    sides = {
        key: [
            t.shape[1] for t in graft.graft(reference, tensor, ("P1", "P2"), skips, None, same_padding=which).values()
        ]
        for key, which in (("none", ()), ("first", {"first"}), ("all", graft.ALL))
    }
    assert sides == {"none": [15, 7], "first": [16, 7], "all": [16, 8]}


def test_statistics_of_an_efficientnet_file_are_checked(monkeypatch):
    from lungzoo.encoders.efficientnet import _check_statistics
    from lungzoo.errors import WeightsUnavailable

    image = keras.Input((None, None, 3))
    layer = keras.layers.Normalization()
    model = keras.Model(image, layer(image))
    with pytest.raises(WeightsUnavailable, match="another input scaling: mean"):
        _check_statistics(model, "EfficientNetB0")
    layer.set_weights([np.array(graft.IMAGENET_MEAN), np.array(graft.IMAGENET_STD), np.array(0)])
    layer.finalize_state()
    _check_statistics(model, "EfficientNetB0")
