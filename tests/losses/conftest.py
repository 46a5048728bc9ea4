"""Gradients on whichever backend runs."""

from __future__ import annotations

import numpy as np
import pytest


def value_and_gradient(loss, mask: np.ndarray, logits: np.ndarray, jit: bool = False) -> tuple[float, np.ndarray]:
    """Return the loss and its gradient by the logits; `jit` compiles both with XLA."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        function = jax.value_and_grad(lambda logits: loss(mask, logits))
        value, gradient = (jax.jit(function) if jit else function)(logits)
    else:
        import tensorflow as tf

        def function(logits):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = loss(mask, logits)
            return value, tape.gradient(value, logits)

        compiled = tf.function(function, jit_compile=True) if jit else function
        value, gradient = compiled(tf.constant(logits))
    return float(value), np.asarray(gradient)


@pytest.fixture(name="value_and_gradient")
def value_and_gradient_fixture():
    return value_and_gradient


@pytest.fixture
def undecided() -> tuple[np.ndarray, np.ndarray]:
    """One lesion pixel of four, probability ½ everywhere: I = ½, A = 1, P = 2; TP = ½, FP = 1½, FN = ½."""
    mask = np.zeros((1, 2, 2, 1), "float32")
    mask[0, 0, 0, 0] = 1
    return mask, np.zeros_like(mask)


def with_background(values: np.ndarray, background: np.ndarray) -> np.ndarray:
    return np.concatenate([background, values], -1)


@pytest.fixture
def two_classes():
    """The same masks and logits, told as two exclusive classes: softmax(0, x) = (…, sigmoid(x))."""

    def tell(mask: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return with_background(mask, 1 - mask), with_background(logits, np.zeros_like(logits))

    return tell
