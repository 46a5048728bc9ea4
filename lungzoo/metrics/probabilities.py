"""From a network's outputs to probabilities, and what a probability map and its reference must be."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.errors import UsageError


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Return a model's outputs by name; a single one is the mask."""
    return outputs if isinstance(outputs, dict) else {"mask": outputs}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits (…), of their precision; none is too large for it."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))  # exp would overflow


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits (…, classes), of their precision; over the classes they sum to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def check_probabilities(probability: np.ndarray, reference: np.ndarray) -> None:
    """Raise UsageError unless `probability` is floating, in [0, 1], and of the shape of the boolean `reference`."""
    if not np.issubdtype(probability.dtype, np.floating) or reference.dtype != bool:
        raise UsageError(
            f"Probabilities must be floating-point and the reference boolean. Received: {probability.dtype} and "
            f"{reference.dtype}. Turn labels into a mask first: labels > 0."
        )
    if probability.shape != reference.shape:
        raise UsageError(
            f"Probabilities and reference differ in shape. Received: {probability.shape} and {reference.shape}. "
            "Bring the probabilities back to the grid of the reference first."
        )
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):  # NaN fails as well
        raise UsageError(
            f"Probabilities must be in [0, 1]. Received: {probability.min()} to {probability.max()}. "
            "Of logits take the sigmoid first."
        )
