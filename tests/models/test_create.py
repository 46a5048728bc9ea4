"""The public face: models by name, as a newcomer calls them."""

import keras
import numpy as np
import pytest

import lungzoo
from lungzoo.errors import ConfigError, UnknownNameError, UsageError, WeightsMismatch

SHIPPED = "unet_mobilenetv2_035-lidc-v1"
LIKE_SHIPPED = {
    "encoder_options": {"alpha": 0.35},
    "encoder_depth": 4,
    "decoder_channels": (64, 48, 32, 16),
    "decoder_convs": 1,
}


def encoder_values(model) -> list[np.ndarray]:
    return model.get_layer("encoder").get_weights()


def test_names_match_a_pattern():
    names = lungzoo.list_models("unet_*")
    assert "unet_mobilenetv2" in names
    assert all(name.startswith("unet_") for name in names)
    assert len(lungzoo.list_models()) >= 500


def test_a_published_model_is_loaded_and_is_a_start():
    loaded = lungzoo.load(SHIPPED)
    whole = lungzoo.create_model("unet_mobilenetv2", weights=f"lungzoo:{SHIPPED}", **LIKE_SHIPPED)
    for one, other in zip(loaded.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    started = lungzoo.create_model("fpn_mobilenetv2", weights="lidc", encoder_options={"alpha": 0.35}, encoder_depth=4)
    for one, other in zip(encoder_values(loaded), encoder_values(started), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_start_goes_shallower_but_not_deeper():
    shallow = lungzoo.create_model("unet_mobilenetv2", weights="lidc", encoder_options={"alpha": 0.35}, encoder_depth=3)
    full = dict(zip((v.path for v in lungzoo.load(SHIPPED).weights), lungzoo.load(SHIPPED).get_weights(), strict=True))
    for variable in shallow.get_layer("encoder").weights:
        np.testing.assert_array_equal(full[variable.path], variable.numpy())
    with pytest.raises(ConfigError, match="weights of encoder 'mobilenetv2' are those of other options"):
        lungzoo.create_model("unet_mobilenetv2", weights="lidc", encoder_options={"alpha": 0.35}, encoder_depth=5)


def test_n_classes_need_a_new_head():
    with pytest.raises(WeightsMismatch, match=r"classes = 1. Received: classes = 3. Set transfer.new_head = true"):
        lungzoo.create_model("unet_mobilenetv2", weights=f"lungzoo:{SHIPPED}", classes=3, **LIKE_SHIPPED)
    model = lungzoo.create_model(
        "unet_mobilenetv2", weights=f"lungzoo:{SHIPPED}", classes=3, new_head=True, **LIKE_SHIPPED
    )
    assert model(np.zeros((1, 50, 70, 1), "float32")).shape == (1, 50, 70, 3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("unet_resnet5O", {}, "Unknown model 'unet_resnet5O'. Did you mean 'unet_resnet50'"),
        ("unet_resnet50", {"weights": "imagnet"}, "has no 'imagnet' weights. Allowed: imagenet"),
        ("unet_resnet50", {"weights": "lungzoo:unet"}, "Unknown published weights 'unet'"),
        ("unet_resnet50", {"weights": "here.npz"}, "No weights at 'here.npz'"),
        ("unet_resnet50", {"weights": "evil.keras"}, "can carry code"),
        ("unet_resnet50", {"in_slices": 2}, "must be odd"),
        ("unet_resnet50", {"decoder_channels": (8, 8)}, "needs 5 decoder_channels"),
        ("unet_resnet50", {"decoder_norm": "layer"}, "decoder_norm"),
        ("unet_resnet50", {"weights": "run:12"}, "in the tracking store"),
    ],
)
def test_what_cannot_be_is_refused(name, settings, message):
    with pytest.raises((UnknownNameError, UsageError), match=message):
        lungzoo.create_model(name, **settings)


def test_a_plain_keras_model_comes_back(tmp_path):
    model = lungzoo.create_model("cnn_scratch", encoder_options={"width": 4}, encoder_depth=3, decoder_convs=1)
    model.compile("adam", lungzoo.create_loss({"dice": 1.0, "focal": {"weight": 0.5, "gamma": 3.0}}))
    image = np.random.default_rng(0).random((4, 40, 56, 1), "float32")
    history = model.fit(image, (image > 0.7).astype("float32"), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "x.keras")
    again = keras.models.load_model(tmp_path / "x.keras")
    assert again.loss.get_config() == model.loss.get_config()
    again.fit(image, (image > 0.7).astype("float32"), verbose=0)
    assert model.predict(image, verbose=0).shape == (4, 40, 56, 1)


def test_an_encoder_by_name():
    encoder = lungzoo.create_encoder("mobilenetv2", options={"alpha": 0.35}, depth=4)
    assert set(encoder(np.zeros((1, 32, 32, 1), "float32"))) == {"P1", "P2", "P3", "P4"}
    with pytest.raises(ConfigError, match="Encoder 'vgg16' has no 'lidc' weights"):
        lungzoo.create_encoder("vgg16", weights="lidc")


@pytest.mark.parametrize("slices", [3, 5, 7])
def test_stacks_of_slices_and_labels(slices):
    model = lungzoo.create_model(
        "cnn_scratch", in_slices=slices, labels=("benign", "malignant"), encoder_options={"width": 4}, encoder_depth=3
    )
    outputs = model(np.zeros((2, 50, 70, slices), "float32"))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"mask": (2, 50, 70, 1), "label": (2, 2)}
