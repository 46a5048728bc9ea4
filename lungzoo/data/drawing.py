"""How slices and outlines look, the same in every picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.config import DataConfig


def shown_range(units: str) -> tuple[float, float]:
    """Return the values that are drawn black and white: of "hu" the usual lung window, else 0 and 255."""
    return DataConfig().window_hu if units == "hu" else (0.0, 255.0)


def grey_values(image: np.ndarray, units: str) -> np.ndarray:
    """Return an image of any shape in [0, 1], float32, as it is drawn."""
    low, high = shown_range(units)
    return np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)


def draw_outline(axis: Any, mask: np.ndarray, colour: str, width: float) -> None:
    """Draw the outline of a mask along the edges of its pixels.

    Args:
        axis: matplotlib axes that show the slice.
        mask: (H, W), 0 or 1; may be empty.
        colour: of the line.
        width: of the line, points.
    """
    if not mask.any():
        return
    places = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
    axis.contour(*places, np.pad(mask, 1).astype(float), [0.5], colors=[colour], linewidths=width)


def frame(axis: Any, box: tuple[slice, slice] | None, shape_yx: tuple[int, ...]) -> None:
    """Show a box of a slice, or all of it, without ticks."""
    rows, columns = box or (slice(0, shape_yx[0]), slice(0, shape_yx[1]))
    axis.set_xlim(columns.start - 0.5, columns.stop - 0.5)
    axis.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    axis.set_xticks([])
    axis.set_yticks([])
