"""One picture of a dataset: slices with their lesions outlined, small to large."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.drawing import draw_outline, frame, shown_range
from lungzoo.data.store import PreparedDataset
from lungzoo.data.summary import MIN_READERS
from lungzoo.errors import storage_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TILE_INCHES, _CAPTION_INCHES, _HEADER_INCHES, _MARGIN_INCHES = 1.75, 0.34, 0.62, 0.12
_DPI = 160
_LEAST_COLUMNS = 3  # the header needs as much room
_PAGE, _TEXT, _FAINT = "#14161a", "#f2f2f2", "#9aa0a8"
# Okabe and Ito's colours tell apart for colour-blind readers; repeated past the sixth.
_READERS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#0072b2")
_CONSENSUS = "#ff5a36"


def contact_sheet(dataset: PreparedDataset, path: Path | str, rows: int = 4, columns: int = 6) -> None:
    """Write a PNG grid of slices whose lesions are spread over all sizes.

    Each reader's outline is thin and in their own colour, the consensus thick. Slices without a lesion fill
    up when there are too few with one. The same dataset gives the same picture.

    Args:
        dataset: opened dataset; only the chosen slices' images are read.
        path: PNG file to write.
        rows: tiles down, at most; fewer where there are fewer slices.
        columns: tiles across, at most.

    Raises:
        StorageError: the file cannot be written.
    """
    area_px = dataset.lesion_px(MIN_READERS)
    chosen = choose_spread(area_px, dataset.cases["patient"].to_numpy(), rows * columns)
    columns = max(min(columns, len(chosen)), min(columns, _LEAST_COLUMNS))
    rows = -(-len(chosen) // columns)
    figure = _figure(
        dataset, rows, columns, f"{len(dataset):,} slice{'' if len(dataset) == 1 else 's'}", _legend(dataset)
    )
    for place, row in enumerate(chosen):
        _draw_tile(_tile_axes(figure, rows, columns, place), dataset, int(row), int(area_px[row]))
    _save(figure, path)


def augmented_sheet(
    dataset: PreparedDataset,
    path: Path | str,
    augment: AugmentConfig,
    data: DataConfig | None = None,
    rows: int = 6,
    columns: int = 7,
    seed: int = 0,
) -> None:
    """Write a PNG of cases as they are and as training sees them in its first epochs, the lesion outlined.

    Args:
        dataset: opened dataset.
        path: PNG file to write.
        augment: the changes.
        data: windows and preprocessing; of several channels the first is shown.
        rows: cases, one a row, their lesions spread over all sizes.
        columns: tiles across; the first is the case itself.
        seed: of the changes.

    Raises:
        StorageError: the file cannot be written.
    """
    from lungzoo.data.pipeline import Pipeline

    data = data or DataConfig(consensus_readers=MIN_READERS)
    areas_px = dataset.lesion_px(data.consensus_readers)
    chosen = choose_spread(areas_px, dataset.cases["patient"].to_numpy(), rows)
    # Mix-up and copy-paste take from other cases, so there are always some.
    shown = np.union1d(chosen, choose_spread(areas_px, dataset.cases["patient"].to_numpy(), 4 * rows))
    pipeline = Pipeline(dataset, data, len(shown))
    about = f"augment.preset = {augment.preset}" if augment.preset else "augmented as in the settings"
    figure = _figure(dataset, len(chosen), columns, about, [("lesion", _CONSENSUS)])
    for column in range(columns):
        changes = augment.model_copy(update={"foreground": 0.0}) if column else AugmentConfig(preset="none")
        seen = pipeline.shown(shown, changes, seed, column)
        for place, row in enumerate(chosen):
            axes = _tile_axes(figure, len(chosen), columns, place * columns + column)
            _draw_shown(axes, *seen[int(row)], dataset.cases["case"].iloc[row] if column == 0 else f"epoch {column}")
    _save(figure, path)


def _save(figure: Figure, path: Path | str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    try:
        canvas.print_png(str(path), metadata={"Software": None})
    except OSError as error:
        raise storage_error("write the contact sheet", error) from error


def choose_spread(area_px: np.ndarray, patients: np.ndarray, count: int) -> np.ndarray:
    """Return up to `count` row numbers spread evenly over lesion sizes, small to large, then empty slices.

    Args:
        area_px: lesion area of each slice (N,), 0 without one.
        patients: patient of each slice (N,); a new patient is preferred to one already shown.
        count: how many rows to choose.
    """
    lesions = np.flatnonzero(area_px > 0)
    lesions = lesions[np.argsort(area_px[lesions], kind="stable")]
    picked: list[int] = []
    shown: set[str] = set()
    for part in np.array_split(lesions, min(count, len(lesions)) or 1):
        middle_first = part[np.argsort(np.abs(np.arange(len(part)) - len(part) // 2), kind="stable")]
        fresh = [row for row in middle_first if patients[row] not in shown]
        if len(part):
            picked.append(int(fresh[0] if fresh else middle_first[0]))
            shown.add(patients[picked[-1]])
    empty = np.flatnonzero(area_px == 0)
    wanted = min(count - len(picked), len(empty))
    return np.array([*picked, *empty[np.linspace(0, len(empty) - 1, wanted).astype(int)]], dtype=int)


def _figure(dataset: PreparedDataset, rows: int, columns: int, about: str, legend: list[tuple[str, str]]) -> Figure:
    from matplotlib.figure import Figure

    width = columns * _TILE_INCHES + (columns + 1) * _MARGIN_INCHES
    height = _HEADER_INCHES + rows * (_TILE_INCHES + _CAPTION_INCHES) + _MARGIN_INCHES
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_PAGE)
    top, left = 1 - 0.16 / height, _MARGIN_INCHES / width
    figure.text(left, top, dataset.name, color=_TEXT, size=11, weight="bold", va="top")
    patients = dataset.cases["patient"].nunique()
    who = f"{patients:,} patient{'' if patients == 1 else 's'}" if dataset.patients_known else "patients not named"
    about = f"{dataset.info.get('title', '')} · {about} · {who}"
    figure.text(left, 1 - 0.38 / height, about, color=_FAINT, size=7.5, va="top")
    x = 1 - left
    for name, color in reversed(legend):
        figure.text(x, top, f"— {name}", color=color, size=7.5, va="top", ha="right")
        x -= (0.075 * len(name) + 0.3) / width
    return figure


def _legend(dataset: PreparedDataset) -> list[tuple[str, str]]:
    names = dataset.mask_bits
    if len(names) == 1:
        return [(names[0], _CONSENSUS)]
    readers = [(name, _READERS[bit % len(_READERS)]) for bit, name in enumerate(names)]
    return [*readers, (f"{min(MIN_READERS, len(names))} readers agree", _CONSENSUS)]


def _tile_axes(figure: Figure, rows: int, columns: int, place: int) -> Axes:
    width, height = figure.get_size_inches()
    row, column = divmod(place, columns)
    left = _MARGIN_INCHES + column * (_TILE_INCHES + _MARGIN_INCHES)
    bottom = height - _HEADER_INCHES - row * (_TILE_INCHES + _CAPTION_INCHES) - _TILE_INCHES
    axes = figure.add_axes((left / width, bottom / height, _TILE_INCHES / width, _TILE_INCHES / height))
    axes.set_axis_off()
    return axes


def _draw_tile(axes: Axes, dataset: PreparedDataset, row: int, area_px: int) -> None:
    low, high = shown_range(dataset.units)
    axes.imshow(dataset.images[row], cmap="gray", vmin=low, vmax=high, interpolation="lanczos")
    bits = np.asarray(dataset.masks[row])
    if len(dataset.mask_bits) > 1:
        for bit in range(len(dataset.mask_bits)):
            draw_outline(axes, (bits >> bit) & 1, _READERS[bit % len(_READERS)], 0.6)
    consensus = dataset.consensus(np.array([row]), MIN_READERS)[0]
    draw_outline(axes, consensus, _CONSENSUS, 1.1)
    frame(axes, None, dataset.images.shape[1:])
    case = dataset.cases.iloc[row]
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "clip_on": False}
    axes.text(0, -0.025, case["case"], color=_TEXT, size=5.2, **style)
    axes.text(0, -0.095, _caption(case, area_px), color=_FAINT, size=5.2, **style)


def _draw_shown(axes: Axes, image: np.ndarray, mask: np.ndarray, caption: str) -> None:
    axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="lanczos")
    draw_outline(axes, mask[..., 0], _CONSENSUS, 1.1)
    frame(axes, None, mask.shape)
    axes.text(0, -0.025, caption, color=_TEXT, size=5.2, transform=axes.transAxes, va="top", clip_on=False)


def _caption(case: Any, area_px: int) -> str:
    if not area_px:
        size = "no lesion"
    elif np.isfinite(case["spacing_y_mm"] * case["spacing_x_mm"]):
        size = f"{2 * np.sqrt(area_px * case['spacing_y_mm'] * case['spacing_x_mm'] / np.pi):.1f} mm"
    else:
        size = f"{2 * np.sqrt(area_px / np.pi):.1f} px"
    return " · ".join(part for part in (size, case["label"]) if part)
