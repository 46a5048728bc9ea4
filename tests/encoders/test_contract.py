"""What every registered encoder promises."""

import numpy as np
import pytest

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import build_encoder
from lungzoo.errors import ConfigError


@pytest.fixture(scope="module", params=ENCODERS.names())
def spec(request):
    return ENCODERS.get(request.param)


@pytest.fixture(scope="module")
def encoder(spec):
    return build_encoder(spec)


def grey(channels: int) -> np.ndarray:
    picture = np.random.default_rng(0).random((2, 64, 64, 1), "float32")
    return np.repeat(picture, channels, axis=-1)


def test_is_fully_described(spec):
    assert spec.paper
    assert spec.licence
    assert spec.scaling


def test_level_n_is_two_to_the_n_smaller(spec, encoder):
    pyramid = encoder(grey(1), training=False)
    assert set(pyramid) == set(spec.levels)
    for level, features in pyramid.items():
        assert features.shape[1:3] == (64 // 2 ** int(level[1:]),) * 2, level


@pytest.mark.parametrize("channels", [3, 2])
def test_a_grey_image_gives_the_features_of_its_copies(spec, encoder, channels):
    other = build_encoder(spec, in_channels=channels)
    weights = encoder.get_weights()
    if channels == 2:  # the projection to RGB comes first
        weights = [other.get_layer("project_to_rgb").get_weights()[0], *weights]
    other.set_weights(weights)
    one, copies = encoder(grey(1), training=False), other(grey(channels), training=False)
    for level in one:
        np.testing.assert_allclose(one[level], copies[level], rtol=1e-5, atol=1e-5)


def test_options_are_checked_by_type(spec):
    for key, default in spec.options.items():
        wrong = "big" if not isinstance(default, str) else 1
        with pytest.raises(ConfigError, match=rf"Option '{key}' of encoder '{spec.name}' must be"):
            spec.checked_options({key: wrong})
        if not isinstance(default, (str, bool)):
            with pytest.raises(ConfigError, match="positive"):
                spec.checked_options({key: -1})


def test_depth_limits_the_levels(spec):
    assert set(build_encoder(spec, depth=3)(grey(1))) == {"P1", "P2", "P3"} & set(spec.levels)
