"""What a probability map and its reference must be."""

from __future__ import annotations

import numpy as np

from lungzoo.errors import UsageError


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
