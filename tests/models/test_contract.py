"""What every model of the zoo promises: small widths, small images."""

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.models.assemble import build_model
from lungzoo.models.zoo import MODELS


@pytest.fixture(scope="module", params=MODELS.names())
def model(request):
    return build_model(ModelConfig(name=request.param, decoder_channels=(16, 12, 8, 8, 4), decoder_convs=1))


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, 1), "float32")


@pytest.mark.parametrize("sides", [(32, 32), (50, 70), (33, 97)])
def test_any_height_and_width(model, sides):
    logits = np.asarray(model(image(*sides), training=False))
    assert logits.shape == (1, *sides, 1)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_saves_and_reloads_without_custom_objects(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    picture = image(50, 70)
    np.testing.assert_array_equal(model(picture, training=False), again(picture, training=False))


def test_weights_reload_into_a_model_built_anew(model, tmp_path):
    model.save_weights(tmp_path / "m.weights.h5")
    other = build_model(ModelConfig(name=model.name, decoder_channels=(16, 12, 8, 8, 4), decoder_convs=1))
    other.load_weights(tmp_path / "m.weights.h5")
    picture = image(32, 32)
    np.testing.assert_array_equal(model(picture, training=False), other(picture, training=False))


def test_encoder_is_a_layer_of_its_own(model):
    assert model.get_layer("encoder").count_params() > 0
