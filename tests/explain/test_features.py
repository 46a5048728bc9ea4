"""Gradients at a level: worked by hand, and against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lungzoo.encoders import ENCODERS
from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.explain.features import CutModel, log_odds, region_score

CELLS = np.array([[0.2, 0.4], [0.6, 0.8]], np.float32)
IMAGE = CELLS.repeat(2, 0).repeat(2, 1)[None, ..., None]


def test_the_gradient_of_a_linear_network(linear: Any) -> None:
    """The region has 2 of its 3 pixels in the first cell and 1 in the last; the head weighs the channels 3 and 1."""
    region = np.zeros((4, 4), bool)
    region[0, :2] = region[3, 3] = True
    features, gradient = CutModel(linear).gradient(IMAGE, region_score(region))
    assert features[..., 0] == pytest.approx(CELLS)
    assert features[..., 1] == pytest.approx(-CELLS)
    assert gradient[..., 0] == pytest.approx(3 * np.array([[2 / 3, 0], [0, 1 / 3]]))
    assert gradient[..., 1] == pytest.approx(np.array([[2 / 3, 0], [0, 1 / 3]]))


@pytest.fixture(scope="module")
def bent() -> Any:
    """P1 are means of 2×2 pixels; P2 is bent and made of P1; the decoder multiplies both."""
    import keras
    from keras import layers

    from lungzoo.models.layers import CropLike, PadToStride

    keras.utils.set_random_seed(3)
    inside = keras.Input((None, None, 1))
    first = layers.AveragePooling2D(2)(inside)
    second = layers.AveragePooling2D(2)(layers.Conv2D(3, 3, padding="same", activation="tanh")(first))
    encoder = keras.Model(inside, {"P1": first, "P2": second}, name="encoder")
    image = keras.Input((None, None, 1))
    pyramid = encoder(PadToStride((4, 4), name="pad")(image))
    mixed = layers.Multiply()([layers.UpSampling2D(2)(layers.Conv2D(1, 1)(pyramid["P2"])), pyramid["P1"]])
    logits = layers.UpSampling2D(2)(layers.Conv2D(1, 3, padding="same")(mixed))
    return keras.Model(image, CropLike()([logits, image]))


def test_the_gradient_goes_through_deeper_levels_as_finite_differences_do(bent: Any) -> None:
    """An image's 2×2 block moved by a step moves one cell of P1 by it; sides that are no multiple of the stride."""
    rng = np.random.default_rng(0)
    image = rng.random((1, 10, 14, 1)).astype(np.float32)
    region = rng.random((10, 14)) > 0.7
    _, gradient = CutModel(bent, "P1").gradient(image, region_score(region))
    assert gradient.shape == (6, 8, 1)
    for y, x in ((0, 0), (1, 3), (4, 6), (2, 5)):
        block = np.zeros_like(image)
        block[0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2] = 0.05
        up, down = (bent.predict_on_batch(image + sign * block)[0, ..., 0][region].mean() for sign in (1, -1))
        expected, tolerance = float(up - down) / 0.1, 3e-3 * float(np.abs(gradient).max())
        assert gradient[y, x, 0] == pytest.approx(expected, abs=tolerance)


def test_the_deepest_level_is_the_default_and_an_unknown_one_is_told(bent: Any) -> None:
    assert CutModel(bent).level == "P2"
    with pytest.raises(UnknownNameError, match=r"Unknown level of the encoder 'P3'\..* Allowed: P1, P2\."):
        CutModel(bent, "P3")


def test_log_odds_of_several_classes_are_those_of_not_being_background() -> None:
    """Softmax of (0, 0, 0) is a third each: two to one for lesion. Of (1, 1 + ln 3) it is 1/4 and 3/4."""
    assert float(np.asarray(log_odds(np.zeros((1, 3), np.float32)))[0]) == pytest.approx(np.log(2))
    assert float(np.asarray(log_odds(np.array([[1, 1 + np.log(3)]], np.float32)))[0]) == pytest.approx(np.log(3))
    assert log_odds(np.array([[7.0]]))[0] == 7


def test_a_backend_without_gradients_is_refused(bent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lungzoo.explain import features

    monkeypatch.setattr(features, "_GRADIENTS", {"jax": features._jax})
    with pytest.raises(UsageError, match=r"not available with the backend '\w+'\. Allowed: jax\..*--method occlusion"):
        CutModel(bent).gradient(np.zeros((1, 4, 4, 1), np.float32), region_score(np.ones((4, 4), bool)))


def smallest() -> list[str]:
    """Return the smallest encoder of each family."""
    by_size = sorted(ENCODERS.items(), key=lambda item: item[1].facts.params if item[1].facts else 0, reverse=True)
    return sorted({spec.family: name for name, spec in by_size}.values())


@pytest.mark.slow
@pytest.mark.parametrize("model", [*(f"unet_{name}" for name in smallest()), "sm/unet_mobilenetv2"])
def test_every_family_can_be_cut_at_each_of_its_levels(model: str) -> None:
    """The outputs beyond the cut are those of the whole, and the gradient leads somewhere."""
    import lungzoo

    if model not in lungzoo.list_models("*"):
        pytest.skip(f"{model} is not available here")
    network = lungzoo.create_model(model, in_channels=1)
    image = np.random.default_rng(0).random((1, 64, 96, 1)).astype(np.float32)
    expected = network.predict_on_batch(image)
    for level in sorted(network.get_layer("encoder").output):
        seen = []

        def score(outputs: dict[str, Any], seen: list[Any] = seen) -> Any:
            seen.append(np.asarray(outputs["mask"]))
            return region_score(np.ones((64, 96), bool))(outputs)

        features, gradient = CutModel(network, level).gradient(image, score)
        assert features.shape == gradient.shape
        assert np.abs(gradient).max() > 0, level
        assert seen[0] == pytest.approx(expected, rel=1e-3, abs=1e-3), level
