"""One look for all figures, and how they become files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.results import ArmResults

WIDTH_IN = 7.2
INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
# Told apart by colour-blind readers too. Source: Okabe & Ito 2008, Color Universal Design.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")
DASHES = ("-", "--", "-.", ":")
MAX_LINES = len(COLOURS)
_SETTINGS = {
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "lungzoo",
    "pdf.fonttype": 42,
}


def new_figure(height_in: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Any, Any]:
    """Return a figure of the page's width and its axes, (rows, columns) of them or a single one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=rows * columns == 1, **grid)


@contextmanager
def look() -> Iterator[None]:
    """Set matplotlib's defaults for as long as something is drawn or saved."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS):
        yield


def save(figure: Any, kind: str) -> bytes:
    """Return a figure as "svg", "pdf" or "png"; equal figures give equal bytes."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format=kind, metadata=dates[kind], dpi=150)
    return buffer.getvalue()


def colour(number: int) -> str:
    """Return the colour of an arm by its place in the table."""
    return COLOURS[number % len(COLOURS)]


def dash(number: int) -> str:
    """Return the line style of an arm by its place in the table."""
    return DASHES[number // len(COLOURS) % len(DASHES)]


def mark_rows(axes: Any, mean: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
    """Draw means and their intervals as rows, from the top down in the colours of the table; NaN is left out."""
    places, colours = range(len(mean)), [colour(place) for place in range(len(mean))]
    axes.hlines(places, low, high, colors=colours, lw=2.2)
    axes.scatter(mean, places, c=colours, s=32, zorder=3)


def names_of(report: Report) -> dict[str, str]:
    """Return short names of the arms."""
    return short_names([arm.arm for arm in report.results.arms])[0]


def shown_lines(arms: Iterable[ArmResults], has: Callable[[ArmResults], object]) -> list[ArmResults]:
    """Return the arms that fit into a figure of lines: the first of the table that have something to show."""
    return list(islice((arm for arm in arms if has(arm)), MAX_LINES))


def say_rest(figure: Any, shown: int, total: int) -> None:
    """Write under a figure, above its legend, that it does not show every arm."""
    if shown < total:
        text = f"The first {shown} of {total} arms, in the order of the table."
        for legend in figure.legends or [legend for axes in figure.axes if (legend := axes.get_legend())]:
            legend.set_title(text, prop={"size": 8})
            legend.get_title().set_color(MUTED)
