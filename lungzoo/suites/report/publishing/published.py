"""Published results, read back: is everything there, and do table and CSV say the same?"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lungzoo.content import content_dir
from lungzoo.errors import UsageError
from lungzoo.suites.report.formats.csv_file import means_of
from lungzoo.suites.report.table import ResultTable, Row
from lungzoo.tracking.record import SuitePlan

RESULTS, META, PAGE = "results.csv", "meta.json", "README.md"
_FURTHER = ("comparison", "statistics", "provenance", "suite_sha256", "results_sha256")
_TOLERANCE = 1e-6  # means in the CSV have seven digits


def published_folders(root: Path) -> list[Path]:
    """Return the folders that hold results, or what is left of them, sorted."""
    return sorted({path.parent for name in (RESULTS, META) for path in root.glob(f"*/{name}")})


def read_meta(folder: Path) -> dict[str, Any]:
    """Return what meta.json says; raises UsageError where it cannot be read."""
    try:
        meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        table_in(meta)
        _ = [meta[key] for key in _FURTHER]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder / META} cannot be read: {type(error).__name__}: {error}. Restore it, or publish the suite again."
        ) from error
    return meta


def table_in(meta: dict[str, Any]) -> ResultTable:
    """Return the table that was published."""
    about = {key: meta[key] for key in ("title", "description", "primary_metric", "dataset")}
    plan = SuitePlan(meta["suite"], **about, runs=())
    rows = tuple(_row(values) for values in meta["rows"])
    return ResultTable(plan, rows, tuple(meta["protocol"]), tuple(meta["remarks"]))


def faults(folder: Path, suites: Path | None = None) -> list[str]:
    """Say what is wrong with published results; the rendered README.md is not looked into.

    Args:
        folder: of one suite.
        suites: folder of suite files; None for those that ship.
    """
    missing = [name for name in (RESULTS, META, PAGE) if not (folder / name).is_file()]
    if missing:
        return [f"{folder} lacks {', '.join(missing)}. Publish the suite again, or remove the folder."]
    try:
        meta = read_meta(folder)
        return [*_suite_faults(folder, meta, suites or content_dir("suites")), *_figure_faults(folder, meta)]
    except (UsageError, OSError, UnicodeError) as error:
        return [str(error)]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a text file as it is with line ends of one character."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def with_nan(value: Any) -> Any:
    """Put NaN back where JSON, which has no word for it, holds None."""
    if isinstance(value, dict):
        return {key: with_nan(item) for key, item in value.items()}
    return math.nan if value is None else value


def _row(values: dict[str, Any]) -> Row:
    known = [key for key in ("val_dice", "metrics", "pooled", "cost", "classes") if key in values]
    numbers: dict[str, Any] = {key: with_nan(values[key]) for key in known}
    return Row(**{**values, **numbers, "outcomes": tuple(values["outcomes"]), "seeds": tuple(values["seeds"])})


def _suite_faults(folder: Path, meta: dict[str, Any], suites: Path) -> Iterator[str]:
    name = meta["suite"]
    if folder.name != name:
        yield f"{folder} holds the results of '{name}'. The folder has the name of its suite."
    file = suites / f"{name}.toml"
    if not file.is_file():
        yield f"{folder} has results of a suite that does not ship: there is no {file}."
    elif sha256_of(file) != meta["suite_sha256"]:
        yield f"{file} has changed since its results were published. A published suite never changes: make a new one."


def _figure_faults(folder: Path, meta: dict[str, Any]) -> Iterator[str]:
    table, found = {row.arm: row for row in table_in(meta).rows}, _read_means(folder / RESULTS)
    if found.keys() != table.keys():
        different = ", ".join(sorted(found.keys() ^ table.keys()))
        yield f"{folder}: only one of {RESULTS} and {META} has the arm(s) {different}."
    told = len(found.keys() ^ table.keys())
    for arm in (arm for arm in table if arm in found):
        for key, figure in _figures(table[arm]).items():
            mean = found[arm].get(key, math.nan)
            if not _same(figure, mean):
                told += 1
                yield f"{folder}: {key} of '{arm}' is {mean:.6g} by {RESULTS} and {figure:.6g} in {META}."
    if not told and sha256_of(folder / RESULTS) != meta["results_sha256"]:
        yield f"{folder / RESULTS} is not what was published. Restore it, or publish the suite again."


def _read_means(path: Path) -> dict[str, dict[str, float]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return means_of(csv.DictReader(file))
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UsageError(
            f"{path} cannot be read: {type(error).__name__}: {error}. Restore it, or publish the suite again."
        ) from error


def _figures(row: Row) -> dict[str, float]:
    means = {name: figure["mean"] for name, figure in row.metrics.items()}
    classes = {name: figure["mean"] for name, figure in row.classes.items() if name.startswith("label_")}
    return {**means, "val_dice": row.val_dice, **row.cost, **classes}


def _same(one: float, other: float) -> bool:
    both_unknown = math.isnan(one) and math.isnan(other)
    return both_unknown or math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
