"""Pictures of a search: its trials as lines across their settings, and which settings mattered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.config import Parameter
from lungzoo.search.outcome import Outcome
from lungzoo.search.results import SearchResults
from lungzoo.search.trial import show_value

_FEWEST = 8  # trials, below which importance is noise
# Keeps words readable where lines pass behind them.
_PAPER = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0}


def save_plots(results: SearchResults, folder: Path) -> list[Path]:
    """Write the plots that the trials are enough for; returns their paths."""
    scored = [outcome for outcome in results.outcomes if outcome.val_dice is not None]
    made = []
    for name, draw in (("parallel_coordinates", _parallel), ("importance", _importance), ("history", _history)):
        figure = draw(results, scored)
        if figure is not None:
            made.append(folder / f"{name}.png")
            figure.savefig(made[-1], dpi=130)
    return made


def importance(results: SearchResults) -> dict[str, float]:
    """Return how much of the spread of validation Dice each setting explains, by permutation in a random forest.

    Each setting's column is shuffled and the fall of R² is its importance (Breiman 2001, doi:10.1023/A:1010933404324,
    section 10), on the trials that the forest was fitted to: it ranks settings, and is no measure of prediction. Epochs
    are a column as well, so that Hyperband's short trials do not pass for bad settings.

    Returns:
        {config key: importance, at least 0}; {} where fewer than eight trials have a score or all are alike.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    scored = [outcome for outcome in results.outcomes if outcome.val_dice is not None]
    dice = np.array([outcome.val_dice for outcome in scored], float)
    if len(scored) < _FEWEST or np.ptp(dice) == 0:
        return {}
    keys = list(results.plan.space.parameters)
    columns = [
        [_place(results.plan.space.parameters[key], outcome.values.get(key)) for outcome in scored] for key in keys
    ]
    table = np.array([*columns, [outcome.until for outcome in scored]], float).T
    forest = RandomForestRegressor(n_estimators=200, random_state=0).fit(table, dice)
    found = permutation_importance(forest, table, dice, n_repeats=20, random_state=0).importances_mean
    return {key: max(float(value), 0.0) for key, value in zip(keys, found[:-1], strict=True)}


def _place(parameter: Parameter, value: Any) -> float:
    """Return where a value lies on its axis, from 0 to 1; −0.1 where the setting was not active."""
    if value is None:
        return -0.1
    if parameter.choices:
        return parameter.choices.index(value) / max(len(parameter.choices) - 1, 1)
    assert parameter.low is not None
    assert parameter.high is not None
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "log":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low))


def _new_figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _parallel(results: SearchResults, scored: list[Outcome]) -> Any:
    if len(scored) < 2:
        return None
    from matplotlib import colormaps

    parameters = results.plan.space.parameters
    dice = [outcome.val_dice or 0.0 for outcome in scored]
    low, high = min(dice), max(dice)
    figure, axes = _new_figure(max(7.0, 1.7 * (len(parameters) + 1)), 4.2)
    for outcome, value in sorted(zip(scored, dice, strict=True), key=lambda pair: pair[1]):
        share = (value - low) / (high - low) if high > low else 1.0
        places = [_place(parameter, outcome.values.get(key)) for key, parameter in parameters.items()]
        style = {"lw": 0.8 + 1.6 * share, "alpha": 0.35 + 0.65 * share}
        axes.plot([*places, share], color=colormaps["viridis"](1 - share), **style)
    names = [key.replace(".", ".\n", 1) for key in parameters]
    axes.set_xticks(range(len(names) + 1), [*names, "validation\nDice"], fontsize=8)
    for x, parameter in enumerate(parameters.values()):
        for place, text in _ticks(parameter):
            axes.annotate(text, (x, place), (3, 0), textcoords="offset points", fontsize=7, va="center", bbox=_PAPER)
    for place, text in ((0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")):
        axes.annotate(
            text, (len(names), place), (3, 0), textcoords="offset points", fontsize=7, va="center", bbox=_PAPER
        )
    for x in range(len(names) + 1):
        axes.axvline(x, color="#9ca3af", lw=0.8, zorder=0)
    axes.set_ylim(-0.16, 1.06)
    axes.set_xlim(-0.1, len(names) + 0.35)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(f"{len(scored)} trials; darker lines are better", fontsize=9)
    return figure


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    if parameter.choices:
        return [(_place(parameter, choice), _short(choice)) for choice in parameter.choices]
    return [(0.0, show_value(parameter.low)), (1.0, show_value(parameter.high))]


def _short(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list | tuple) else show_value(value)
    return text if len(text) <= 20 else text[:19] + "…"


def _importance(results: SearchResults, scored: list[Outcome]) -> Any:
    found = importance(results)
    if not found:
        return None
    ranked = sorted(found.items(), key=lambda pair: pair[1])
    figure, axes = _new_figure(6.0, 1.1 + 0.35 * len(ranked))
    axes.barh([key for key, _ in ranked], [value for _, value in ranked], color="#0072b2", height=0.6)
    axes.set_xlabel("fall of R² when the setting is shuffled", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Which settings mattered, {len(scored)} trials", fontsize=9)
    return figure


def _history(results: SearchResults, scored: list[Outcome]) -> Any:
    if len(scored) < 2:
        return None
    figure, axes = _new_figure(6.5, 3.2)
    best = results.best
    for outcome in scored:
        chosen = best is not None and outcome.number == best.number
        style = {"color": "#d55e00", "lw": 2, "zorder": 3} if chosen else {"color": "#0072b2", "lw": 0.8, "alpha": 0.5}
        axes.plot(range(1, len(outcome.curve) + 1), outcome.curve, marker="o", ms=2.5, **style)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_ylabel("validation Dice", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    title = "All trials" if best is None else f"All trials; the best, {best.number}, in orange"
    axes.set_title(title, fontsize=9)
    return figure
