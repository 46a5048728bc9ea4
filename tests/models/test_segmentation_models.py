"""The library's models under lungzoo's contract, and lungzoo's own U-Net against the library's."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.encoders import ENCODERS
from lungzoo.errors import ConfigError
from lungzoo.models import segmentation_models as provider
from lungzoo.models.assemble import build_model
from lungzoo.models.segmentation_models import ARCHITECTURES, BACKBONES, LibraryModel
from lungzoo.models.zoo import MODELS

pytestmark = pytest.mark.skipif(provider.hidden_reason() is not None, reason=str(provider.hidden_reason()))

NAMES = sorted(f"sm/{decoder}_{backbone}" for decoder in ARCHITECTURES for backbone in BACKBONES)

# Their layers' names contain "/", which Keras 3 refuses; lungzoo's own encoders have them.
DO_NOT_BUILD = ("densenet121", "densenet169", "densenet201")

# Each architecture; and backbones with groups, squeeze and excitation, an activation or a sum of the library's own.
SMALL = {
    "sm/unet_mobilenetv2": (16, 12, 8, 8, 4),
    "sm/fpn_resnet18": (16,),
    "sm/linknet_seresnet18": (4,),
    "sm/pspnet_efficientnetb0": (16,),
}


def config_of(name: str, **settings) -> ModelConfig:
    return ModelConfig(name=name, **settings)


def image(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((2, height, width, channels), "float32")


def logits(model, picture) -> np.ndarray:
    return np.asarray(model(picture, training=False))


# What there is, and what is refused


def test_listing_loads_no_library():
    code = """
import sys
from lungzoo.models.zoo import MODELS
heavy = {"keras", "tensorflow", "segmentation_models"}
print(len(MODELS.names("sm/*")), sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert result.stdout == f"{len(NAMES)} []\n", result.stderr


def test_backbones_are_those_of_the_library():
    names = provider.library().get_available_backbone_names()
    assert sorted(names) == sorted((*BACKBONES, *DO_NOT_BUILD))
    assert MODELS.names("sm/*") == NAMES


def test_refused_backbones_do_not_build():
    # When this fails, the backbones have become rows.
    for backbone in DO_NOT_BUILD:
        with pytest.raises(ValueError, match="cannot contain character `/`"):
            provider.library().Unet(backbone, encoder_weights=None)


def test_the_library_has_imagenet_weights():
    import classification_models.weights
    from efficientnet.model import WEIGHTS_HASHES

    with_file = {entry["model"] for entry in classification_models.weights.WEIGHTS_COLLECTION}
    with_file |= {name.replace("-", "") for name in WEIGHTS_HASHES}
    rest = set(BACKBONES) - with_file
    assert rest == {"vgg16", "vgg19", "inceptionv3", "inceptionresnetv2", "mobilenet", "mobilenetv2"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_scaling_is_that_of_the_library(backbone):
    rgb, family = image(8, 8, 3), BACKBONES[backbone]
    ours = np.asarray(family.scale(rgb))
    if family.bgr:
        ours = ours[..., ::-1]
    theirs = provider.library().get_preprocessing(backbone)(rgb * 255)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 if np.abs(theirs).max() > 10 else 1e-5)


def test_the_environment_is_left_alone(monkeypatch):
    monkeypatch.delenv("SM_FRAMEWORK", raising=False)
    provider.library()
    assert "SM_FRAMEWORK" not in os.environ


def test_hidden_on_another_backend(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert provider.rows() == {}
    assert provider.hidden_reason() == (
        "The 'sm/…' models are hidden: they need the TensorFlow backend. Received: KERAS_BACKEND jax"
    )
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert provider.hidden_reason() is None
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert "Received: KERAS_BACKEND torch" in str(provider.hidden_reason())


def test_hidden_without_the_library(monkeypatch):
    monkeypatch.setattr(provider, "find_spec", lambda name: None)
    assert provider.rows() == {}
    assert "pip install segmentation-models" in str(provider.hidden_reason())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("unet", {"encoder_depth": 4}, r"'sm/unet_resnet18' has no encoder_depth = 4. Allowed: 5"),
        ("fpn", {"decoder_convs": 1}, r"has no decoder_convs = 1. Allowed: 2"),
        ("unet", {"decoder_norm": "group"}, r"has no decoder_norm = group. Allowed: batch"),
        ("unet", {"decoder_attention": "scse"}, r"has no decoder_attention = scse. Allowed: none"),
        ("unet", {"decoder_upsampling": "bilinear"}, r"decoder_upsampling = bilinear. Allowed: nearest, transpose"),
        ("pspnet", {"decoder_upsampling": "transpose"}, r"decoder_upsampling = transpose. Allowed: nearest"),
        ("unet", {"deep_supervision": True}, r"has no deep_supervision = True. Allowed: False"),
        ("unet", {"decoder_dropout": 0.1}, r"has no decoder_dropout. Received: 0.1"),
        ("unet", {"encoder_options": {"alpha": 0.5}}, r"has no encoder_options. Received: alpha"),
        ("unet", {"decoder_channels": (8, 8)}, r"needs 5 decoder_channels \(one per level.*Received: \[8, 8\]"),
    ],
)
def test_options_that_the_library_lacks(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        LibraryModel(name, "resnet18").check(config_of("x", **settings), None)


def test_unknown_weights():
    with pytest.raises(ConfigError, match=r"has no 'lidc' weights. Allowed: imagenet"):
        LibraryModel("unet", "resnet18").check(config_of("x"), "lidc")


# One model of each architecture


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if number > 1 else ()) for number, name in enumerate(SMALL)],
)
def model(request):
    return build_model(config_of(request.param, decoder_channels=SMALL[request.param]))


def test_saves_and_reloads_at_any_size(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    picture = image(50, 70)
    first = logits(model, picture)
    assert first.shape == (2, 50, 70, 1)
    np.testing.assert_array_equal(first, logits(again, picture))


def test_names_are_lasting_and_unique(model):
    name = "sm/" + model.name.removeprefix("sm_")
    again = build_model(config_of(name, decoder_channels=SMALL[name]))
    paths = [weight.path for weight in model.weights]
    assert paths == [weight.path for weight in again.weights]
    assert len(set(paths)) == len(paths)


def test_a_grey_image_is_an_rgb_image(model):
    name = "sm/" + model.name.removeprefix("sm_")
    colour = build_model(config_of(name, decoder_channels=SMALL[name], in_channels=3))
    colour.set_weights(model.get_weights())
    grey = image(32, 64)
    np.testing.assert_allclose(logits(colour, np.repeat(grey, 3, -1)), logits(model, grey), atol=1e-5)


def test_a_frozen_encoder_stays_while_the_decoder_trains(model):
    import keras

    encoder = model.get_layer("encoder")
    encoder.trainable = False
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False, run_eagerly=True)
    before, head = encoder.get_weights(), np.array(model.get_layer("head").kernel)
    picture = image(64, 64)
    model.train_on_batch(picture, (picture > 0.5).astype("float32"))
    encoder.trainable = True
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(np.array(model.get_layer("head").kernel) - head).max() > 0


def test_imagenet_weights_reach_the_encoder(shared_dir, monkeypatch):
    import h5py

    folder = shared_dir / "weights" / "keras_home"
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(folder))
    file = folder / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    for name in ("sm/unet_mobilenetv2", "sm/pspnet_mobilenetv2"):
        model = build_model(config_of(name), "imagenet")
        with h5py.File(file) as stored:
            kernel = stored["Conv1/Conv1/kernel"][:]
        np.testing.assert_array_equal(model.get_layer("encoder").get_layer("Conv1").kernel, kernel)


@pytest.mark.parametrize(
    ("name", "settings", "layer"),
    [
        ("sm/unet_resnet18", {"decoder_upsampling": "transpose"}, "decoder_stage0a_transpose"),
        ("sm/linknet_resnet18", {"decoder_upsampling": "transpose"}, "decoder_stage0b_transpose"),
        ("sm/fpn_resnet18", {"decoder_dropout": 0.3}, "pyramid_dropout"),
        ("sm/pspnet_resnet18", {"decoder_dropout": 0.3}, "spatial_dropout"),
    ],
)
def test_options_that_the_library_has(name, settings, layer):
    model = build_model(config_of(name, in_slices=5, classes=2, **settings))
    assert logits(model, image(32, 64, 5)).shape == (2, 32, 64, 2)
    assert layer in [each.name for each in model.layers]


# Against the library


def settle(network) -> None:
    """Give every BatchNorm weights and statistics that matter, and that keep signals alive."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            for variable in layer.weights:
                positive = variable.name in ("gamma", "moving_variance")
                variable.assign(
                    rng.uniform(0.8, 1.3, variable.shape) if positive else rng.normal(0, 0.1, variable.shape)
                )


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("sm/unet_mobilenetv2", 64),
        ("sm/fpn_efficientnetb0", 64),
        ("sm/linknet_seresnet18", 64),
        ("sm/pspnet_vgg16", 96),
    ],
)
def test_rebuilt_graphs_compute_what_the_library_does(name, size, monkeypatch):
    import keras

    from lungzoo.encoders.graft import lasting_names

    monkeypatch.setattr(provider, "_PSP_SIZE_PX", 96)
    spec = MODELS.get(name)
    config = config_of(name, in_channels=3)
    reference = spec._reference(config, None)
    settle(reference)
    model = build_model(config)
    names = lasting_names(reference)
    own = {layer.name: layer for layer in (*model.layers, *model.get_layer("encoder").layers)}
    for layer in reference.layers:
        if layer.weights and names[id(layer)] in own:
            own[names[id(layer)]].set_weights(layer.get_weights())
    feature = reference.get_layer(ARCHITECTURES[spec.decoder].features).output
    theirs = keras.Model(reference.input, feature)
    ours = keras.Model(model.input, model.get_layer("head").input)
    picture = image(size, size, 3)
    scaled = BACKBONES[spec.backbone].scale(picture)
    expected = logits(theirs, scaled)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits(ours, picture), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("backbone", ["mobilenetv2", "resnet34"])
def test_own_unet_is_the_library_s(backbone):
    if backbone not in ENCODERS:
        pytest.skip(f"lungzoo has no encoder '{backbone}'")
    reference = provider.library().Unet(
        backbone, input_shape=(None, None, 3), encoder_weights=None, activation="linear"
    )
    settle(reference)
    model = build_model(config_of(f"unet_{backbone}", in_channels=3))
    assert model.count_params() == reference.count_params()
    for layer in model.get_layer("encoder").layers:
        if layer.weights:
            layer.set_weights(reference.get_layer(layer.name).get_weights())
    for stage in range(5):
        for number, letter in enumerate("ab"):
            theirs, ours = f"decoder_stage{stage}{letter}", f"decoder_P{4 - stage}"
            model.get_layer(f"{ours}_conv{number}").set_weights(reference.get_layer(f"{theirs}_conv").get_weights())
            model.get_layer(f"{ours}_norm{number}").set_weights(reference.get_layer(f"{theirs}_bn").get_weights())
    model.get_layer("head").set_weights(reference.get_layer("final_conv").get_weights())
    picture = image(64, 96, 3)
    expected = logits(reference, BACKBONES[backbone].scale(picture))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits(model, picture), expected, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_every_row_builds_and_predicts(name):
    import keras

    model = build_model(config_of(name))
    assert MODELS.get(name).levels(config_of(name)) == len(model.get_layer("encoder").output)
    result = logits(model, image(64, 64))
    keras.backend.clear_session()
    assert result.shape == (2, 64, 64, 1)
    assert np.isfinite(result).all()
