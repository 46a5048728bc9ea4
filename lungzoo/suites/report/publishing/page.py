"""Published results as people read them: the page of a suite, and its part of the project's README."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lungzoo.metrics.contract import METRICS
from lungzoo.suites.report.class_table import HEADINGS, LEGEND, class_grid
from lungzoo.suites.report.columns import columns, verdict
from lungzoo.suites.report.formats.markdown import to_markdown
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.numbers import p_value, with_interval
from lungzoo.suites.report.protocol import stated
from lungzoo.suites.report.publishing.published import META, PAGE, RESULTS, table_in, with_nan
from lungzoo.suites.report.table import ResultTable

# Columns of the short table, beside the arm, the primary metric and the groups.
_COSTS = ("Params", "Predict")
_NOTE = "<!-- Written by `lungzoo bench report SUITE --publish DIR`, and again from meta.json by `make docs`. -->"


def page(meta: dict[str, Any]) -> str:
    """Return README.md of a published suite: table, differences, and where it all comes from."""
    table = table_in(meta)
    parts = [
        f"# {table.plan.title}",
        _NOTE,
        *([table.plan.description] if table.plan.description else []),
        f"Suite `{table.plan.name}`. [{RESULTS}]({RESULTS}) has every run by group of cases, [{META}]({META}) all "
        "figures of this page, and what they were made with.",
        to_markdown(table, heading=False).strip(),
        *([f"## Classes\n\n{_grid(list(HEADINGS), classes)}\n\n{LEGEND}"] if (classes := class_grid(table)) else []),
        *([f"## Differences\n\n{_differences(meta)}"] if meta["comparison"] else []),
        f"## Where it comes from\n\n{_origin(meta)}",
    ]
    return "\n\n".join(parts) + "\n"


def section(metas: Iterable[dict[str, Any]], place: str) -> str:
    """Return short tables of several suites.

    Args:
        metas: of the suites.
        place: path of the folder of results, from where the section is read.
    """
    parts = [_short(table_in(meta), place) for meta in metas]
    legend = (
        "★: chosen on the validation split, which orders the rows. Arms that share a letter are not told apart (paired "
        "tests, Holm-corrected, 5%; see docs/statistics.md)."
    )
    return "\n\n".join([*parts, legend]) if parts else ""


def _short(table: ResultTable, place: str) -> str:
    names, shared = short_names([row.arm for row in table.rows])
    table = replace(table, rows=tuple(replace(row, arm=names[row.arm]) for row in table.rows))
    first = next(row for row in table.rows if row.seeds)
    figure = first.metrics[table.plan.primary_metric]
    arms = f" All arms: `{shared}`." if shared else ""
    title = re.sub(r"([\[\]])", r"\\\1", table.plan.title)
    lead = (
        f"**[{title}]({place}/{table.plan.name}/{PAGE})** {table.plan.dataset['title']}, {figure['cases']} test cases "
        f"of {figure['patients']} patients, {len(first.seeds)} seed(s).{arms}"
    )
    shown = [
        column
        for column in columns(table)
        if (column.rank <= 1 and column.heading != "Val Dice") or column.heading in _COSTS
    ]
    rows = [[column.cell(row) for column in shown] if row.seeds else [row.arm, verdict(row)] for row in table.rows]
    return f"{lead}\n\n{_grid([column.heading for column in shown], rows)}"


def _differences(meta: dict[str, Any]) -> str:
    primary = METRICS.get(meta["primary_metric"])
    rows = []
    for pair in map(with_nan, meta["comparison"]["pairs"]):
        figure = with_interval({**pair, "mean": pair["difference"]}, primary.digits)
        apart = "yes" if pair["different"] else "no"
        p = [p_value(pair[key]).removeprefix("= ") for key in ("p", "p_holm")]
        rows.append([pair["first"], pair["second"], figure, *p, apart])
    return _grid(["Arm", "minus", f"{primary.title} [95% CI]", "p", "p (Holm)", "Told apart"], rows)


def _origin(meta: dict[str, Any]) -> str:
    origin, data = meta["provenance"], meta["dataset"]
    commits = ", ".join(commit[:12] + commit[40:] for commit in origin["git_commits"])
    revision = origin["results_revision"]
    code = [
        f"lungzoo {', '.join(origin['lungzoo']) or 'of unknown version'}",
        f"commit {commits}" if commits else "",
        f"metrics version {origin['metrics_version']}",
        f"results revision {revision}" if revision is not None else "",
        f"newest run of {origin['date']}" if origin["date"] else "",
    ]
    about = [key for key in ("licence", "citation") if data.get(key)]
    lines = [
        "; ".join(part for part in code if part),
        *(f"software: {_listed(kind)}" for kind in origin["software"]),
        *(f"hardware: {_listed(kind)}" for kind in origin["hardware"]),
        "; ".join([f"dataset: {data['title']}", *(stated(key, data[key]) for key in about)]),
        f"fingerprint of the dataset: {data['fingerprint']}",
        *(f"fingerprint of the split ({split['scheme']}): {split['fingerprint']}" for split in origin["splits"]),
        f"intervals: {meta['statistics']['draws']} bootstrap draws",
        *origin["notes"],
    ]
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _grid(headings: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ").strip() for cell in row] for row in [headings, *rows]]
    lines = [[*line, *[""] * (len(headings) - len(line))] for line in cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(headings), *lines[1:]])
