"""Pictures of best, median and worst cases."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lungzoo.data.drawing import draw_outline, frame
from lungzoo.evaluation.predict import Predictions

if TYPE_CHECKING:
    import pandas as pd

REFERENCE_COLOUR, PREDICTION_COLOUR = "#22c55e", "#f97316"


def pick_cases(scores: pd.DataFrame, each: int = 4) -> dict[str, list[int]]:
    """Return positions of the best, median and worst lesion cases by Dice, `each` of every kind, without repeats."""
    order = scores[scores["group"] == "lesion"].sort_values(["dice", "case"], ascending=False).index.to_list()
    each = min(each, len(order) // 3)
    middle = (len(order) - each) // 2
    return {"best": order[:each], "median": order[middle : middle + each], "worst": order[len(order) - each :]}


def save_overlays(predictions: Predictions, scores: pd.DataFrame, title: str, path: Path) -> bool:
    """Draw the picked cases with reference and prediction outlines; returns False where there are too few cases."""
    picked = pick_cases(scores)
    columns = len(picked["best"])
    if not columns:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(2.3 * columns + 0.4, 8.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, columns, squeeze=False)
    for line, (kind, positions) in zip(axes, picked.items(), strict=True):
        for axis, position in zip(line, positions, strict=True):
            _draw(axis, predictions, position)
            case = scores.loc[position]
            axis.set_title(f"{case['case']}\nDice {case['dice']:.3f}", fontsize=6.5)
        line[0].set_ylabel(kind, fontsize=11)
    lines = [Line2D([], [], color=colour, lw=2) for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR)]
    figure.legend(lines, ["reference", "prediction"], loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    letters = int(10 * figure.get_figwidth())  # of 11 points some eleven are an inch
    figure.suptitle("\n".join(wrap(title, letters)), fontsize=11)
    figure.savefig(path, dpi=110)
    return True


def _draw(axis: Any, predictions: Predictions, position: int) -> None:
    axis.imshow(predictions.images[position], cmap="gray", vmin=0, vmax=255)
    draw_outline(axis, predictions.references[position], REFERENCE_COLOUR, 1.1)
    draw_outline(axis, predictions.masks[position], PREDICTION_COLOUR, 1.1)
    frame(axis, None, predictions.images.shape[1:])
