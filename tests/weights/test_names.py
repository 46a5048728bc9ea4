"""Names of variables: structural, the same on every build, unique."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import LungzooError
from lungzoo.models.assemble import build_model
from lungzoo.weights.names import named_variables


def test_names_follow_the_layers(tiny_model: Any) -> None:
    named = named_variables(tiny_model)
    assert {"encoder/P1_0_conv/kernel", "encoder/P3_1_norm/moving_mean", "head/kernel", "head/bias"} <= set(named)
    assert named["head/kernel"] is tiny_model.get_layer("head").kernel
    assert len(named) == len(tiny_model.weights)


def test_a_second_build_has_the_same_names(tiny_model: Any, tiny_config: ModelConfig) -> None:
    assert list(named_variables(build_model(tiny_config))) == list(named_variables(tiny_model))


def two_levels() -> Any:
    """Layers that Keras names, nested models and a composite layer, as a third party might build them."""
    import keras

    @keras.saving.register_keras_serializable("lungzoo-test")
    class Twice(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.second = keras.layers.Dense(2), keras.layers.Dense(2, name="out")
            self.drop = keras.layers.Dropout(0.5)

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(1,))
            self.first.build(shape)
            self.second.build((None, 2))

        def call(self, x: Any) -> Any:
            return self.second(self.drop(self.first(x))) * self.scale

    image = keras.Input((4,))
    inner = keras.Model(image, keras.layers.Dense(3)(keras.layers.BatchNormalization()(image)))
    x = keras.layers.Dense(4)(keras.layers.Dense(4)(inner(image)))
    model = keras.Model(image, Twice(name="twice")(x))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def test_automatic_numbers_of_keras_do_not_show() -> None:
    """Whatever was built before in the process, the names start anew."""
    first, second = named_variables(two_levels()), named_variables(two_levels())
    assert set(first) == set(second)
    inner = "functional"
    assert set(first) == {
        *(f"{inner}/batch_normalization/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")),
        *(f"{layer}/{n}" for layer in (f"{inner}/dense", "dense", "dense_1") for n in ("kernel", "bias")),
        *(f"twice/{layer}/{n}" for layer in ("dense", "out") for n in ("kernel", "bias")),
        "twice/scale",
    }


def test_automatic_numbers_keep_the_order_of_making() -> None:
    import keras

    for _ in range(12):  # so that the numbers of the next layers have one and two digits
        keras.layers.Dense(1)
    image = keras.Input((4,))
    layers = [keras.layers.Dense(width) for width in (5, 6, 7)]
    x = image
    for layer in layers:
        x = layer(x)
    named = named_variables(keras.Model(image, x))
    assert [named[f"dense{end}/kernel"].shape[-1] for end in ("", "_1", "_2")] == [5, 6, 7]


def test_optimiser_metrics_and_seeds_are_no_weights() -> None:
    model = two_levels()
    model.fit(np.zeros((1, 4)), np.zeros((1, 2)), verbose=0)
    assert not [name for name in named_variables(model) if "adam" in name or "seed" in name or "mean_abs" in name]


def test_equal_names_are_refused() -> None:
    import keras

    class Doubled(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.a = self.add_weight(name="w", shape=(1,))
            self.b = self.add_weight(name="w", shape=(1,))

        def call(self, x: Any) -> Any:
            return x * self.a * self.b

    image = keras.Input((4,))
    with pytest.raises(LungzooError, match="has two weights named 'doubled/w'"):
        named_variables(keras.Model(image, Doubled(name="doubled")(image)))


def test_a_layer_used_twice_is_named_once() -> None:
    import keras

    image, shared = keras.Input((4,)), keras.layers.Dense(4, name="shared")
    inner = keras.Model(image, shared(image), name="inner")
    assert len(named_variables(keras.Model(image, shared(inner(image))))) == 2
