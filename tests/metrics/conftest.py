"""Drawn masks and random ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Draw = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def drawn() -> Draw:
    """Turn lines of '#' and '.' into a mask."""
    return lambda *lines: np.array([[mark == "#" for mark in line] for line in lines])


@pytest.fixture(scope="session")
def blobs() -> Draw:
    """Draw a random mask (shape) of a few overlapping boxes and some specks, never empty."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        mask = rng.random(shape) < rng.choice([0, 0.02])
        for _ in range(rng.integers(1, 4)):
            corner = [rng.integers(0, size) for size in shape]
            mask[tuple(slice(start, start + rng.integers(1, 6)) for start in corner)] = True
        return mask

    return draw
