"""A network cut in two at a level of its encoder, and the gradient of a score at the cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.metrics.probabilities import named_outputs

Score = Callable[[dict[str, Any]], Any]
"""Outputs of a model by name, for a batch of one -> a scalar of the backend."""


class CutModel:
    """A model of `build_model`, cut at one level of its encoder's pyramid.

    The cut takes in every way from the level to the outputs, through the decoder and through deeper levels.

    Args:
        model: the `keras.Model`.
        level: such as "P4"; "" takes the deepest.

    Raises:
        UnknownNameError: its encoder has no such level.
    """

    def __init__(self, model: Any, level: str = "") -> None:
        import keras

        encoder = model.get_layer("encoder")
        names = sorted(encoder.output)
        self.level = checked_level(model, level)
        self._pad, self._encoder = model.get_layer("pad"), encoder
        inner = encoder.output[self.level]
        deeper = {name: encoder.output[name] for name in names if name > self.level}
        self._deepen = keras.Model([inner, encoder.input], deeper) if deeper else None
        self._names, pyramid = names, encoder._inbound_nodes[-1].output_tensors
        self._decode = keras.Model([*pyramid, model.input], model.output)

    def gradient(self, image: np.ndarray, score: Score) -> tuple[np.ndarray, np.ndarray]:
        """Return the level's features and the gradient of a score with respect to them.

        Args:
            image: float32 (1, H, W, C), a single input of the model.
            score: of the model's outputs, by name.

        Returns:
            Two arrays (h, w, channels); padding to the stride is part of them.

        Raises:
            UsageError: Keras runs on a backend without gradients here.
        """
        from keras import ops

        inputs = ops.convert_to_tensor(image, "float32")
        padded = self._pad(inputs)
        pyramid = self._encoder(padded, training=False)

        def of_features(features: Any) -> Any:
            levels = {**pyramid, self.level: features}
            if self._deepen is not None:
                levels |= self._deepen([features, padded], training=False)
            decoded = self._decode([*(levels[name] for name in self._names), inputs], training=False)
            return score(named_outputs(decoded))

        features = pyramid[self.level]
        slope = _gradient(of_features, features)
        return ops.convert_to_numpy(features)[0], ops.convert_to_numpy(slope)[0]


def checked_level(model: Any, level: str) -> str:
    """Return a level of a model's encoder, the deepest for ""; raises UnknownNameError where there is none such."""
    names = sorted(model.get_layer("encoder").output)
    if level and level not in names:
        raise UnknownNameError("level of the encoder", level, names)
    return level or str(names[-1])


def log_odds(logits: Any) -> Any:
    """Return the log-odds of lesion, (…), from logits of the mask: (…, 1), or (…, classes) with background first."""
    from keras import ops

    if logits.shape[-1] == 1:
        return logits[..., 0]
    return ops.logsumexp(logits[..., 1:], axis=-1) - logits[..., 0]


def region_score(region: np.ndarray) -> Score:
    """Return the mean log-odds of lesion over a region, bool (H, W), as a function of a model's outputs."""
    weights = (region / max(region.sum(), 1)).astype(np.float32)

    def score(outputs: dict[str, Any]) -> Any:
        from keras import ops

        return ops.sum(log_odds(outputs["mask"])[0] * weights)

    return score


def check_backend() -> str:
    """Return the name of the backend that Keras runs on; raises UsageError where there are no gradients here."""
    import keras

    backend = keras.backend.backend()
    if backend not in _GRADIENTS:
        raise UsageError(
            f"Gradients are not available with the backend '{backend}'. Allowed: {', '.join(_GRADIENTS)}. Set "
            "KERAS_BACKEND, or take --method occlusion."
        )
    return str(backend)


def _gradient(function: Callable[[Any], Any], at: Any) -> Any:
    """Return the gradient of a scalar function at a tensor."""
    return _GRADIENTS[check_backend()](function, at)


def _tensorflow(function: Callable[[Any], Any], at: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(at)
        value = function(at)
    return tape.gradient(value, at, unconnected_gradients="zero")


def _jax(function: Callable[[Any], Any], at: Any) -> Any:
    import jax

    return jax.grad(function)(at)


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax}
