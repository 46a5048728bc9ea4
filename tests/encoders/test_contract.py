"""What every registered encoder promises.

The numbers are checked on the smallest encoder of each family; `slow` builds them all.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import LEVELS, build_encoder
from lungzoo.errors import ConfigError

SPECS = dict(ENCODERS.items())
FAMILIES = {family: [s for s in SPECS.values() if s.family == family] for family in {s.family for s in SPECS.values()}}
SMALLEST = sorted(min(members, key=lambda s: s.facts.params if s.facts else 0).name for members in FAMILIES.values())
# Networks of very many layers take half a minute each.
HEAVY = {"inception", "nasnet", "densenet", "xception"}


@pytest.fixture(params=SPECS)
def any_spec(request):
    return SPECS[request.param]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if SPECS[name].family in HEAVY else ()) for name in SMALLEST],
)
def spec(request):
    return SPECS[request.param]


@pytest.fixture(scope="module")
def encoder(spec):
    keras.utils.set_random_seed(1)
    return build_encoder(spec)


@pytest.fixture(scope="module")
def shallow(spec):
    return build_encoder(spec, in_channels=5, depth=3)


@pytest.fixture(scope="module")
def grey_features(encoder, request):
    return encoder(request.getfixturevalue("grey"), training=False)


@pytest.fixture(scope="module")
def grey():
    return np.random.default_rng(0).random((2, 64, 96, 1), "float32")


def assert_same(one, other):
    assert set(one) == set(other)
    for level in one:
        here, there = np.asarray(one[level]), np.asarray(other[level])
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(here).max())))


def test_is_fully_described(any_spec):
    assert any_spec.title
    assert any_spec.family
    assert "20" in any_spec.paper  # a year
    assert any_spec.licence
    assert any_spec.scaling.startswith("[0, 1] ")
    assert bool(any_spec.source) == bool(any_spec.weights)
    assert set(any_spec.pretrained) <= set(any_spec.options)
    assert any_spec.levels in (LEVELS, LEVELS[1:])


def test_has_facts(any_spec):
    assert any_spec.facts is not None, "run lungzoo.encoders.facts.write_facts()"
    assert any_spec.facts.params > 100_000
    assert any_spec.facts.gmacs > 0


def test_default_options_have_weights_where_any_have(any_spec):
    for weights in any_spec.weights:
        any_spec.check_weights(weights, any_spec.checked_options({}))
    with pytest.raises(ConfigError, match=rf"Encoder '{any_spec.name}' has no 'imagnet' weights. Allowed: "):
        any_spec.check_weights("imagnet", any_spec.checked_options({}))


def test_options_are_checked_by_type(any_spec):
    for key, default in any_spec.options.items():
        wrong = "big" if not isinstance(default, str) else 1
        with pytest.raises(ConfigError, match=rf"Option '{key}' of encoder '{any_spec.name}' must be"):
            any_spec.checked_options({key: wrong})
        if not isinstance(default, (str, bool)):
            with pytest.raises(ConfigError, match="positive"):
                any_spec.checked_options({key: -1})


def test_unknown_depth_is_refused(any_spec):
    with pytest.raises(ConfigError, match=rf"Encoder '{any_spec.name}' has no level P6. Allowed: P"):
        build_encoder(any_spec, depth=6)


def test_level_n_is_two_to_the_n_smaller(spec, grey_features):
    assert set(grey_features) == set(spec.levels)
    for level, features in grey_features.items():
        assert features.shape[1:3] == (64 // 2 ** int(level[1:]), 96 // 2 ** int(level[1:])), level


def test_takes_32_pixels(encoder):
    assert encoder(np.zeros((1, 32, 32, 1), "float32"), training=False)["P5"].shape[1:3] == (1, 1)


def test_random_features_are_alive(grey_features):
    for level, features in grey_features.items():
        values = np.asarray(features)
        assert np.isfinite(values).all(), level
        assert values.std() > 0, level


def test_grey_is_its_three_copies(encoder, grey, grey_features):
    # Past the adapted stem, the encoder is the original one for RGB.
    rgb_encoder = keras.Model(encoder.get_layer("scale_input").input, encoder.output)
    assert rgb_encoder.input.shape == (None, None, None, 3)
    assert_same(rgb_encoder(np.repeat(grey, 3, -1), training=False), grey_features)


def test_other_channels_are_averaged(encoder, shallow, grey, grey_features, variable_paths):
    projection = shallow.get_layer("project_to_rgb")
    np.testing.assert_allclose(projection.get_weights()[0], np.full((1, 1, 5, 3), 0.2), rtol=1e-6)
    assert projection.trainable
    weights = dict(zip(variable_paths(encoder), encoder.get_weights(), strict=True))
    shallow.set_weights(projection.get_weights() + [weights[path] for path in variable_paths(shallow)[1:]])
    same = {level: grey_features[level] for level in shallow.output}
    assert_same(shallow(np.repeat(grey, 5, -1), training=False), same)


def test_names_are_the_same_in_every_build(encoder, shallow, variable_paths):
    paths = variable_paths(encoder)
    assert len(set(paths)) == len(paths)
    first, *others = variable_paths(shallow)
    assert first == "project_to_rgb/kernel"
    assert set(others) < set(paths)


def test_frozen_batchnorm_keeps_still(encoder, grey, leaf_layers):
    norms = [layer for layer in leaf_layers(encoder) if isinstance(layer, keras.layers.BatchNormalization)]
    encoder.trainable = False
    try:
        before = [layer.get_weights() for layer in norms]
        training, inference = encoder(grey, training=True), encoder(grey, training=False)
        for layer, weights in zip(norms, before, strict=True):
            for one, other in zip(weights, layer.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
    finally:
        encoder.trainable = True
    if not any(isinstance(layer, keras.layers.Dropout) for layer in leaf_layers(encoder)):
        assert_same(training, inference)


def test_all_layers_are_within_reach(encoder, leaf_layers):
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in leaf_layers(encoder))
    assert not any("/" in layer.name for layer in leaf_layers(encoder))
    assert encoder.name == "encoder"
    reached = sum(len(layer.weights) for layer in leaf_layers(encoder))
    assert reached == len(encoder.weights)


def test_depth_cuts_the_network(spec, encoder, shallow):
    assert set(shallow.output) == {"P1", "P2", "P3"} & set(spec.levels)
    assert shallow.count_params() < 0.7 * encoder.count_params()


def test_reloads_without_custom_objects(shallow, grey, tmp_path):
    shallow.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    image = np.repeat(grey, 5, -1)
    assert_same(again(image, training=False), shallow(image, training=False))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy, spec):
    if spec.name not in ("mobilenetv2", "convnexttiny", "cnn"):
        pytest.skip("three stand for all; the slow test covers the rest")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        features = build_encoder(spec, in_channels=2, depth=3)(np.ones((1, 32, 32, 2), "float32"))
    finally:
        keras.config.set_dtype_policy(before)
    assert {str(keras.backend.standardize_dtype(x.dtype)) for x in features.values()} == {policy.split("_")[1]}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_every_encoder_builds(name, variable_paths, grey_batch):
    spec = SPECS[name]
    keras.backend.clear_session()
    encoder = build_encoder(spec)
    assert encoder.count_params() == spec.facts.params
    paths = variable_paths(encoder)
    assert len(set(paths)) == len(paths)
    assert not any("/" in layer.name for layer in encoder.layers)
    for level, features in encoder(grey_batch(1, 64, 32), training=False).items():
        assert features.shape[1:3] == (64 // 2 ** int(level[1:]), 32 // 2 ** int(level[1:])), level
        assert np.isfinite(np.asarray(features)).all(), level
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        again = build_encoder(spec, in_channels=2, depth=4)
    finally:
        keras.config.set_dtype_policy("float32")
    first, *others = variable_paths(again)
    assert first == "project_to_rgb/kernel"
    assert set(others) <= set(paths)
