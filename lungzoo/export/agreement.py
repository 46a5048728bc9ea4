"""How far a file's answers are from the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.errors import ExportError
from lungzoo.export.contract import Outputs
from lungzoo.metrics.probabilities import sigmoid, softmax

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """The largest differences over all heads and inputs.

    Args:
        logits: of two logits.
        scaled: of two logits, as a share of the largest of their head where that is above 1: rounding grows with it.
        probability: of what becomes of the logits, in [0, 1].
        shapes: of the inputs.
    """

    logits: float
    scaled: float
    probability: float
    shapes: tuple[tuple[int, ...], ...]

    @property
    def holds(self) -> bool:
        """Whether the answers are the same."""
        return self.scaled <= TOLERANCE and self.probability <= TOLERANCE


def compare(ours: Sequence[Outputs], theirs: Sequence[Outputs], batches: Sequence[np.ndarray]) -> Agreement:
    """Compare the answers for batches.

    Raises:
        ExportError: a head is missing, has another size, or holds what is no number.
    """
    pairs = [pair for one, other in zip(ours, theirs, strict=True) for pair in _pairs(one, other)]
    return Agreement(
        max(float(np.abs(a - b).max()) for a, b in pairs),
        max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1)) for a, b in pairs),
        max(float(np.abs(probabilities(a) - probabilities(b)).max()) for a, b in pairs),
        tuple(batch.shape for batch in batches),
    )


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return sigmoid of (…, 1), softmax over the classes of (…, classes)."""
    if logits.shape[-1] == 1:
        return sigmoid(logits)
    return softmax(logits)


def _pairs(ours: Outputs, theirs: Outputs) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = []
    for head, expected in ours.items():
        found: Any = theirs.get(head)
        if found is None or found.shape != expected.shape or not np.isfinite(found).all():
            what = "is missing" if found is None else f"has the shape {found.shape} instead of {expected.shape}"
            what = "has values that are not finite" if found is not None and found.shape == expected.shape else what
            raise ExportError(f"the output '{head}' of the file {what}")
        pairs.append((expected.astype(np.float64), found.astype(np.float64)))
    return pairs
