"""The report as plain values, and as JSON."""

from __future__ import annotations

import json
from typing import Any

from lungzoo.statistics.paired import Comparison
from lungzoo.statistics.resolution import Resolution
from lungzoo.suites.plain import plain
from lungzoo.suites.report.publishing.provenance import provenance
from lungzoo.suites.report.report import Report

_PAIR = ("difference", "low", "high", "p", "p_holm", "p_wilcoxon", "p_wilcoxon_holm", "over_seeds")


def to_json(report: Report) -> str:
    """Return everything that the report says, for programs."""
    return json.dumps(as_values(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_values(report: Report) -> dict[str, Any]:
    """Return the table with the comparison, what the test set resolves, the statistics' settings and the provenance.

    What is not a number, or infinite, is None.
    """
    analysis = report.analysis
    values = report.table.to_dict() | {
        "description": report.plan.description,
        "comparison": analysis.comparison and _comparison(analysis.comparison, analysis.compared),
        "resolution": analysis.resolution and _resolution(analysis.resolution),
        "notes": list(analysis.notes),
        "statistics": {"draws": report.draws, "level": 0.95},
        "provenance": provenance(report.results),
    }
    return dict(plain(values))


def _comparison(comparison: Comparison, arms: tuple[str, ...]) -> dict[str, Any]:
    pairs = [
        {"first": arms[first], "second": arms[second]}
        | {key: getattr(comparison, key)[number].item() for key in _PAIR}
        | {"different": bool(comparison.different[first, second])}
        for number, (first, second) in enumerate(zip(comparison.first, comparison.second, strict=True))
    ]
    return {
        "cases": comparison.cases, "patients": comparison.patients, "level": comparison.level, "pairs": pairs
    }  # fmt: skip


def _resolution(resolution: Resolution) -> dict[str, Any]:
    return {key: getattr(resolution, key) for key in ("difference", "power", "alpha", "sentence")}
