"""A slice, the predicted contour and the map over it, as a PNG."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.data.drawing import draw_outline, frame, grey_values
from lungzoo.explain.contract import EXPLANATIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lungzoo.explain.contract import HeatMap
    from lungzoo.explain.run import Explanation

CONTOUR = "#22d3ee"
_PANEL_INCHES = 4.2
_ZOOM_SHARE = 0.5
_ZOOM_LEAST_SHARE = 0.25
_ZOOM_LEAST_PX = 24
_OPACITY = 0.65
_SEEN_PX = 16


def write(path: Path, explanation: Explanation) -> None:
    """Write the picture of `draw` as a PNG."""
    draw(explanation).savefig(path, dpi=130, format="png")


def draw(explanation: Explanation) -> Figure:
    """Draw the slice with its contour and the map over it; around a small region in a large slice once more, near."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    volume, mask = explanation.result.volume, explanation.result.mask[explanation.place.z] > 0
    grey, aspect = grey_values(volume.image[explanation.place.row], volume.units), aspect_of(volume.spacing_mm)
    zoom = zoom_box(explanation.place.region, grey.shape)
    panels = 2 if zoom is None else 3
    height = _PANEL_INCHES * min(max(grey.shape[0] * aspect / grey.shape[1], 0.4), 2.0)
    figure = Figure(figsize=(_PANEL_INCHES * panels + 1.0, height + 1.0), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    drawn: Any = None
    for number, axis in enumerate(axes):
        axis.imshow(grey, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
        if number:
            drawn = draw_heat(axis, explanation.heat, aspect)
        draw_outline(axis, mask, CONTOUR, 0.7 if number else 1.1)  # a thick one would hide what lies on the edge
        frame(axis, zoom if number == 2 else None, grey.shape)
    told = "slice and predicted contour"
    if EXPLANATIONS.get(explanation.method).needs_region and (explanation.place.region != mask).any():
        told += "; white: what is explained"
        _draw_region(axes[0], explanation.place.region)
    axes[0].set_title(told, fontsize=9)
    axes[1].set_title("map" if zoom is None else "map (box: right)", fontsize=9)
    if zoom is not None:
        _draw_box(axes[1], zoom)
        axes[2].set_title("map, near", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes[-1], fraction=0.046, pad=0.02)
    bar.set_label(explanation.heat.quantity, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle("\n".join(title_lines(explanation, 34 * panels)), fontsize=10)
    return figure


def title_lines(explanation: Explanation, width: int) -> list[str]:
    """Return the method, what it explains, and the weights, in lines of at most so many letters."""
    names = ", ".join(weights.name for weights in explanation.result.weights)
    return [*wrap(explanation.words, width), *wrap(f"weights: {names}", width)]


def zoom_box(region: np.ndarray, shape_yx: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Return a square around a region that is small beside its slice; None where the slice shows it well."""
    if not region.any():
        return None
    places = [np.flatnonzero(region.any(axis=1 - axis)) for axis in (0, 1)]
    least = max(_ZOOM_LEAST_PX, round(_ZOOM_LEAST_SHARE * min(shape_yx)))
    side = max(least, 3 * max(int(each[-1] - each[0] + 1) for each in places))
    if side > _ZOOM_SHARE * min(shape_yx):
        return None
    starts = [
        min(max(int(each[0] + each[-1] + 1) // 2 - side // 2, 0), length - side)
        for each, length in zip(places, shape_yx, strict=True)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def aspect_of(spacing_mm: tuple[float, float, float]) -> float:
    """Return how much higher than wide a pixel is; 1 where unknown."""
    _, y, x = spacing_mm
    return y / x if np.isfinite([y, x]).all() else 1.0


def draw_heat(axis: Any, heat: HeatMap, aspect: float) -> Any:
    """Lay the map over the slice: the fainter, the less it says."""
    from matplotlib.colors import Normalize

    values = np.ma.masked_invalid(heat.values)
    top = heat.top or float(np.abs(values).max() or 0.0) or 1.0
    scale = Normalize(-top if heat.signed else 0.0, top)
    opacity = _OPACITY * np.sqrt(np.clip(np.abs(values.filled(0)) / top, 0, 1))
    colours = "bwr" if heat.signed else "inferno"
    return axis.imshow(values, cmap=colours, norm=scale, alpha=opacity, aspect=aspect, interpolation="nearest")


def _draw_region(axis: Any, region: np.ndarray) -> None:
    """Outline what is explained; a cross stands over what is too small to be seen."""
    draw_outline(axis, region, "white", 1.1)
    if region.sum() < _SEEN_PX:
        y, x = np.argwhere(region).mean(axis=0)
        axis.plot([x], [y], "+", color="white", markersize=9)


def _draw_box(axis: Any, box: tuple[slice, slice]) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = box
    corner = columns.start - 0.5, rows.start - 0.5
    sides = columns.stop - columns.start, rows.stop - rows.start
    axis.add_patch(Rectangle(corner, *sides, fill=False, edgecolor="white", linewidth=0.9))
