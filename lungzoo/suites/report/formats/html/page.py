"""Put a report into its HTML template."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lungzoo.suites.report.class_table import HEADINGS, LEGEND, class_grid
from lungzoo.suites.report.columns import columns, verdict
from lungzoo.suites.report.figures.drawing import Drawn, drawing
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.numbers import number, p_value, with_interval
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import means_over_runs, of_curves

_OVERLAY_WIDTH_PX = 900


@dataclass(frozen=True)
class _Picture:
    """A picture of the page, as the address that holds it."""

    name: str
    title: str
    caption: str
    address: str


@dataclass(frozen=True)
class _Cell:
    """A cell of a table: what it shows, and what it is sorted by."""

    text: str
    key: float | str
    is_text: bool


def to_html(report: Report) -> str:
    """Return the whole report as one self-contained HTML page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("lungzoo.suites.report.formats.html")
    template = environment.from_string(source.joinpath("report.html.j2").read_text("utf-8"))
    shown = columns(report.table)
    rows = [row for row in report.table.rows if row.seeds]
    names, shared = short_names([arm.arm for arm in report.results.arms])
    with drawing(report, ("svg",)) as drawn:
        overlays = _overlays(report)
        figures = _figures(drawn())
    return template.render(
        plan=report.plan,
        table=report.table,
        shared=shared,
        names=names,
        columns=[
            {"heading": column.heading, "about": column.about, "is_text": _is_text(column, rows)} for column in shown
        ],
        rows=[{"row": row, "cells": [_cell(column, row) for column in shown]} for row in rows],
        others=[{"row": row, "verdict": verdict(row)} for row in report.table.rows if row.status != "finished"],
        pairs=_pairs(report),
        classes={"headings": HEADINGS, "rows": class_grid(report.table), "legend": LEGEND},
        pooled=_pooled(report),
        figures=figures,
        overlays=overlays,
        explained=_explained(report),
        machine=_machine(report),
        style=source.joinpath("report.css").read_text("utf-8"),
        script=source.joinpath("report.js").read_text("utf-8"),
    )  # fmt: skip


def _is_text(column: Any, rows: list[Any]) -> bool:
    return bool(rows) and isinstance(column.value(rows[0]), str)


def _cell(column: Any, row: Any) -> _Cell:
    value = column.value(row)
    unknown = isinstance(value, float) and not math.isfinite(value)
    return _Cell(column.cell(row).strip(), "" if unknown else value, isinstance(value, str))


def _pairs(report: Report) -> list[dict[str, str]]:
    """Return the compared pairs, the surest difference first."""
    found, metric = report.analysis.comparison, report.analysis.primary
    if found is None:
        return []
    names = short_names([arm.arm for arm in report.results.arms])[0]
    arms = [names[arm] for arm in report.analysis.compared]
    order = sorted(range(len(found.p)), key=lambda pair: (found.p_holm[pair], found.p[pair]))
    return [
        {
            "first": arms[found.first[pair]],
            "second": arms[found.second[pair]],
            "difference": with_interval(
                {"mean": found.difference[pair], "low": found.low[pair], "high": found.high[pair]}, metric.digits
            ),
            "p": p_value(found.p[pair]).removeprefix("= "),
            "p_holm": p_value(found.p_holm[pair]).removeprefix("= "),
            "holds": "yes" if found.different[found.first[pair], found.second[pair]] else "no",
        }
        for pair in order
    ]


def _pooled(report: Report) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return headings, and by arm figures of all pixels together and of probabilities: means over runs."""
    arms = report.results.with_results
    found = {arm.arm: means_over_runs([run.pooled for run in arm.finished]) | of_curves(arm) for arm in arms}
    keys = list(dict.fromkeys(name for figures in found.values() for name in figures))
    rows = [(arm, [number(figures.get(name, math.nan), 4) for name in keys]) for arm, figures in found.items()]
    return [_words(name) for name in keys], rows


_WORDS = {
    "expected_calibration_error": "ECE",
    "brier": "Brier score",
    "froc_score_per_slice": "FROC score, slices",
    "froc_score_per_volume": "FROC score, stacks of slices",
    "sensitivity_at_1_fp_per_slice": "Sensitivity at 1 FP per slice",
    "sensitivity_at_1_fp_per_volume": "Sensitivity at 1 FP per stack of slices",
}


def _words(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " ").capitalize().replace("iou", "IoU"))


def _figures(drawn: Drawn) -> list[_Picture]:
    return [
        _Picture(figure.name, figure.title, figure.caption, _address("image/svg+xml", found["svg"]))
        for figure, found in drawn
    ]


def _overlays(report: Report) -> list[_Picture]:
    found = []
    for number_, (arm, evidence) in enumerate(report.evidence.items()):
        if evidence.overlays is not None and (address := _shrunk(evidence.overlays)):
            found.append(_Picture(f"overlay-{number_}", arm, evidence.overlays_of, address))
    return found


def _explained(report: Report) -> list[_Picture]:
    return [
        _Picture(f"explained-{number_}", f"{each.title}: {each.arm}", each.caption, _shrunk(io.BytesIO(each.picture)))
        for number_, each in enumerate(report.explained)
    ]


def _shrunk(path: Path | io.BytesIO) -> str:
    """Return a picture as JPEG, no wider than the page shows it; "" where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.thumbnail((_OVERLAY_WIDTH_PX, 10 * _OVERLAY_WIDTH_PX))
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=85)
    except (OSError, UnidentifiedImageError):
        return ""
    return _address("image/jpeg", buffer.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _machine(report: Report) -> list[str]:
    """Return the machines and versions that the finished runs name, each once."""
    lines: dict[str, None] = {}
    for arm in report.results.with_results:
        for record in arm.finished:
            about = record.environment
            packages = ", ".join(f"{name} {version}" for name, version in about.get("packages", {}).items())
            parts = [f"{about.get('machine', '')}, {about.get('cpus', '?')} cores", f"Python {about.get('python', '')}"]
            lines["; ".join([*parts, packages])] = None
    return list(lines)
