"""What every registered decoder promises: tiny pyramids, narrow widths."""

import re

import keras
import numpy as np
import pytest

from lungzoo.decoders import DECODERS
from lungzoo.decoders.contract import DecoderStyle
from lungzoo.errors import ConfigError

CHANNELS = 8
ALL = (1, 2, 3, 4, 5)
PROBE = "Linear probe"  # the one decoder without levels of its own

only_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="asks TensorFlow itself")


@pytest.fixture(scope="module", params=DECODERS.names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def spec(name):
    return DECODERS.get(name)


@pytest.fixture(scope="module")
def model(spec):
    """With options away from their defaults."""
    options = {"norm": "group", "attention": "scse", "upsampling": "bilinear", "dropout": 0.5}
    return model_of(spec, ALL, deep_supervision=True, **options)


def decode(spec, levels, **options):
    widths = (8, 8, 4, 4, 4)[: max(levels) if spec.per_level else len(spec.channels)]
    pyramid = {f"P{number}": keras.Input((None, None, CHANNELS), name=f"P{number}") for number in levels}
    return pyramid, spec.build(pyramid, DecoderStyle(**{"channels": widths, "convs": 1, **options}))


def model_of(spec, levels, **options):
    pyramid, decoded = decode(spec, levels, **options)
    return keras.Model(pyramid, {"features": decoded.features, **decoded.auxiliary})


def trainable_of(spec, levels, **compile_options):
    pyramid, decoded = decode(spec, levels)
    logits = keras.layers.Conv2D(1, 1, dtype="float32", name="head")(decoded.features)
    model = keras.Model(pyramid, logits)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True), **compile_options)
    return model


def pyramid_of(levels, height, width):
    rng = np.random.default_rng(0)
    return {
        f"P{number}": rng.normal(size=(2, height // 2**number, width // 2**number, CHANNELS)).astype("float32")
        for number in levels
    }


def variable_names(model):
    return [f"{layer.name}/{variable.name}" for layer in model.layers for variable in layer.variables]


def train_once(model, levels, side=32):
    mask = np.random.default_rng(1).integers(0, 2, (2, side, side, 1)).astype("float32")
    return model.fit(pyramid_of(levels, side, side), mask, batch_size=2, verbose=0).history["loss"][0]


def test_is_fully_described(spec):
    assert spec.title
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi:10\.", spec.paper)
    assert len(spec.widths.split()) > 2
    assert 2 <= spec.min_depth <= 5


def test_widths_suffice_for_every_depth(name, spec):
    for depth in range(spec.min_depth, 6):
        assert len(spec.checked_channels(name, None, depth)) == (depth if spec.per_level else len(spec.channels))
    if spec.channels:
        with pytest.raises(ConfigError, match=rf"Decoder '{name}' needs \d decoder_channels"):
            spec.checked_channels(name, (), 5)


@pytest.mark.parametrize("sides", [(32, 32), (64, 96)])
def test_features_have_the_resolution_of_the_input(model, sides):
    features = np.asarray(model(pyramid_of(ALL, *sides), training=False)["features"])
    assert features.shape[:3] == (2, *sides)
    assert np.isfinite(features).all()
    assert features.std() > 0


def test_auxiliary_features_have_the_resolution_of_their_level(spec, model):
    features = model(pyramid_of(ALL, 32, 64), training=False)
    auxiliary = {level: x for level, x in features.items() if level != "features"}
    assert auxiliary or spec.title == PROBE
    for level, x in auxiliary.items():
        assert level in ("P1", "P2", "P3", "P4")
        assert x.shape[1:3] == (32 // 2 ** int(level[1:]), 64 // 2 ** int(level[1:])), level


def test_there_are_no_auxiliary_features_unasked(spec):
    assert decode(spec, ALL)[1].auxiliary == {}


@pytest.mark.parametrize("levels", [(2, 3, 4, 5), (1, 2, 3, 4), (2, 3), (1, 2)])
def test_fewer_levels(spec, levels):
    if max(levels) < spec.min_depth:
        pytest.skip("shallower than it takes")
    features = model_of(spec, levels, deep_supervision=True)(pyramid_of(levels, 32, 64))
    assert features["features"].shape[1:3] == (32, 64)
    assert len(features) > 1 or spec.title == PROBE or len(levels) == 2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"norm": "instance", "upsampling": "transpose"}, {"GroupNormalization", "Conv2DTranspose"}),
        ({"attention": "scse", "dropout": 0.5, "convs": 2}, {"Multiply", "SpatialDropout2D"}),
    ],
)
def test_options_add_their_layers_and_keep_the_resolution(spec, options, wanted):
    built = model_of(spec, (1, 2, 3), **options)
    found = {type(layer).__name__ for layer in built.layers}
    assert found >= (wanted if spec.title != PROBE else wanted & {"SpatialDropout2D"})
    assert built(pyramid_of((1, 2, 3), 16, 24), training=True)["features"].shape[1:3] == (16, 24)


@pytest.mark.parametrize("option", ["convs", "norm", "attention", "upsampling", "deep_supervision"])
def test_every_option_does_something_or_is_said_to_do_nothing(spec, option):
    other = {"convs": 2, "norm": "group", "attention": "scse", "upsampling": "bilinear", "deep_supervision": True}
    built = [model_of(spec, (1, 2, 3), **chosen) for chosen in ({}, {option: other[option]})]
    kinds = [[type(layer).__name__ for layer in model.layers] for model in built]
    changed = kinds[0] != kinds[1] or built[0].output.keys() != built[1].output.keys()
    assert changed != (option in spec.ignores)


def test_the_last_layer_drops_channels_while_training(model):
    assert model.get_layer("decoder_dropout").output is model.output["features"]


def test_layer_and_variable_names_are_unique_and_the_same_each_time(spec, model):
    names = [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert all(each.startswith("decoder_") and "/" not in each for each in names)
    variables = variable_names(model)
    assert len(set(variables)) == len(variables)
    first, second = (variable_names(model_of(spec, (1, 2, 3))) for _ in range(2))
    assert first == second


def test_saves_and_reloads_without_custom_objects(model, tmp_path):
    model.save(tmp_path / "decoder.keras")
    again, pyramid = keras.models.load_model(tmp_path / "decoder.keras"), pyramid_of(ALL, 32, 64)
    one, other = model(pyramid, training=False), again(pyramid, training=False)
    assert one.keys() == other.keys()
    for level in one:
        np.testing.assert_array_equal(one[level], other[level])


def test_a_training_step_changes_every_kernel(spec):
    keras.utils.set_random_seed(0)
    built = trainable_of(spec, ALL, run_eagerly=True)
    before = [np.array(variable) for variable in built.trainable_variables]
    assert np.isfinite(train_once(built, ALL, side=64))
    for variable, old in zip(built.trainable_variables, before, strict=True):
        assert np.isfinite(np.asarray(variable)).all()
        if variable.name == "kernel":  # a bias before a normalisation has no gradient
            assert (np.asarray(variable) != old).any(), variable.path


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(spec, policy):
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        built = trainable_of(spec, (1, 2, 3), run_eagerly=keras.backend.backend() == "tensorflow")
        assert np.isfinite(train_once(built, (1, 2, 3)))
        assert {variable.dtype for variable in built.trainable_variables} == {"float32"}
    finally:
        keras.config.set_dtype_policy(usual)


@pytest.mark.slow
def test_trains_when_compiled(spec):
    levels = tuple(range(1, spec.min_depth + 1))
    assert np.isfinite(train_once(trainable_of(spec, levels, jit_compile=True), levels, side=16))


@only_tensorflow
@pytest.mark.slow
def test_height_and_width_may_be_unknown_in_a_graph(model):
    import tensorflow as tf

    signature = {f"P{number}": tf.TensorSpec((None, None, None, CHANNELS)) for number in ALL}
    graph = tf.function(lambda pyramid: model(pyramid, training=False), input_signature=[signature])
    pyramid = pyramid_of(ALL, 64, 32)
    eager = model(pyramid, training=False)
    for level, x in graph(pyramid).items():
        np.testing.assert_allclose(x, eager[level], rtol=1e-4, atol=1e-5)
