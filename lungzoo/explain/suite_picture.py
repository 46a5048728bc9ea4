"""Best, median and worst cases with their maps, as one PNG."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from lungzoo.data.drawing import draw_outline, frame, grey_values
from lungzoo.evaluation.overlay import REFERENCE_COLOUR
from lungzoo.explain import picture

if TYPE_CHECKING:
    from lungzoo.explain.suite import ExplainedCase


def draw(cases: list[ExplainedCase], title: str) -> bytes:
    """Return a PNG with a line of panels for each kind, in the order of the cases."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    kinds = list(dict.fromkeys(case.kind for case in cases))
    lines = [[case for case in cases if case.kind == kind] for kind in kinds]
    figure = Figure(
        figsize=(3.1 * len(lines[0]) + 0.4, 2.9 * len(lines) + 0.9), facecolor="white", layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(lines), len(lines[0]), squeeze=False)
    for panels, kind, line in zip(axes, kinds, lines, strict=True):
        panels[0].set_ylabel(kind, fontsize=11)
        for axis, case in zip(panels, line, strict=True):
            bar = figure.colorbar(_panel(axis, case), ax=axis, fraction=0.046, pad=0.02)
            bar.ax.tick_params(labelsize=6)
    both = [Line2D([], [], color=colour, lw=2) for colour in (REFERENCE_COLOUR, picture.CONTOUR)]
    figure.legend(both, ["reference", "prediction"], loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    figure.suptitle(f"{title}\n{cases[0].heat.quantity}", fontsize=10)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()


def _panel(axis: Any, case: ExplainedCase) -> Any:
    """Draw a slice with its map, from near where its lesion is small; returns what a colour bar is of."""
    volume = case.result.volume
    grey, aspect = grey_values(volume.image[case.row], volume.units), picture.aspect_of(volume.spacing_mm)
    axis.imshow(grey, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    drawn = picture.draw_heat(axis, case.heat, aspect)
    draw_outline(axis, case.reference, REFERENCE_COLOUR, 0.9)
    draw_outline(axis, case.mask, picture.CONTOUR, 0.9)
    frame(axis, picture.zoom_box(case.reference | case.region, grey.shape), grey.shape)
    axis.set_title(case.title, fontsize=6.5)
    return drawn
