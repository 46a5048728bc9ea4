"""How long a model takes for a slice."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

WARM_UPS, REPEATS = 3, 15


def inference_ms(model: Any, batch: np.ndarray) -> float:
    """Return the milliseconds that a slice takes, median over batches, after the first ones have warmed up.

    Args:
        model: whose prediction is timed, from a NumPy batch to a NumPy batch.
        batch: float32 (B, H, W, C), or (B, D, H, W, C) for volumes; each entry of it counts as one slice.
    """
    for _ in range(WARM_UPS):
        model.predict_on_batch(batch)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        model.predict_on_batch(batch)
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds)) / len(batch)
