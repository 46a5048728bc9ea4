"""Layers by level, and what a stage freezes."""

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.models.assemble import build_model
from lungzoo.models.levels import apply_stage, encoder_groups
from lungzoo.models.transfer import Stage

SIZES = {"decoder_channels": (4, 4, 4), "decoder_convs": 1, "encoder_depth": 3}
MODELS = {
    "cnn_scratch": {"encoder_options": {"width": 4}},
    "unet_mobilenetv2": {"encoder_options": {"alpha": 0.35}},
    "unet_efficientnetb0": {},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return build_model(ModelConfig(name=request.param, **MODELS[request.param], **SIZES))


def test_every_layer_with_weights_belongs_to_one_level(model):
    groups = encoder_groups(model.get_layer("encoder"))
    assert len(groups) == 3
    grouped = [id(weight) for group in groups for layer in group for weight in layer.weights]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(weight) for weight in model.get_layer("encoder").weights}


def test_the_last_group_holds_the_stem():
    groups = encoder_groups(build_model(ModelConfig(name="cnn_scratch", **SIZES)).get_layer("encoder"))
    names = [[layer.name for layer in group if layer.weights] for group in groups]
    assert names[0] == ["P3_0_conv", "P3_0_norm", "P3_1_conv", "P3_1_norm"]
    assert names[2][:2] == ["P1_0_conv", "P1_0_norm"]


def test_frozen_features_are_the_same_in_every_step():
    """EfficientNet drops whole blocks while it trains; frozen it must not."""
    import keras

    keras.utils.set_random_seed(0)
    encoder = (model := build_model(ModelConfig(name="unet_efficientnetb0", **SIZES))).get_layer("encoder")
    picture = np.random.default_rng(0).random((8, 32, 32, 1), "float32")

    def drops() -> bool:
        calls = [np.asarray(encoder(picture, training=True)["P3"]) for _ in range(4)]
        return not all(np.array_equal(calls[0], call) for call in calls[1:])

    apply_stage(model, Stage(1.0, encoder_levels=0))
    assert not drops()
    apply_stage(model, Stage(1.0))
    assert drops()


@pytest.mark.parametrize("levels", [0, 1, 2, 3, None])
def test_a_step_leaves_frozen_levels_bit_identical(model, levels):
    """BatchNorm statistics included, and what is not frozen moves."""
    apply_stage(model, Stage(1.0, encoder_levels=levels))
    model.compile("sgd", "mse", run_eagerly=True)  # as good, and no graph to trace
    groups = encoder_groups(model.get_layer("encoder"))
    before = [[layer.get_weights() for layer in group] for group in groups]
    picture = np.random.default_rng(0).random((2, 32, 32, 1), "float32")
    model.fit(picture, picture, verbose=0)
    for number, (group, values) in enumerate(zip(groups, before, strict=True)):
        same = all(
            np.array_equal(old, new)
            for layer, old_values in zip(group, values, strict=True)
            for old, new in zip(old_values, layer.get_weights(), strict=True)
        )
        assert same == (levels is not None and number >= levels), number


def test_freezing_survives_compiling_again_and_reloading(tmp_path):
    import keras

    model = build_model(ModelConfig(name="unet_mobilenetv2", encoder_options={"alpha": 0.35}, **SIZES))
    apply_stage(model, Stage(1.0, encoder_levels=1))
    expected = [variable.path for variable in model.trainable_variables]
    model.compile("adam", "mse")
    model.compile("sgd", "mse")
    assert [variable.path for variable in model.trainable_variables] == expected
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(again.trainable_variables) == len(expected)
    picture = np.random.default_rng(0).random((2, 32, 32, 1), "float32")
    frozen = [layer for group in encoder_groups(again.get_layer("encoder"))[1:] for layer in group]
    before = [value for layer in frozen for value in layer.get_weights()]
    again.fit(picture, picture, verbose=0)
    after = [value for layer in frozen for value in layer.get_weights()]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_the_rate_decays_from_the_deepest_level_to_the_stem(model):
    factors = apply_stage(model, Stage(1.0, decay=0.5))
    for number, group in enumerate(encoder_groups(model.get_layer("encoder"))):
        found = {factors[id(variable)] for layer in group for variable in layer.trainable_variables}
        assert found == {0.5 ** (number + 1)}
    assert len(factors) == len(model.get_layer("encoder").trainable_variables)
