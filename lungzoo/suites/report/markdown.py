"""The comparison table as Markdown."""

from __future__ import annotations

from lungzoo.suites.report.columns import cells, headings, verdict
from lungzoo.suites.report.table import ResultTable


def to_markdown(table: ResultTable) -> str:
    """Return a heading, the table, and the protocol as a list."""
    names = headings(table)
    lines = [f"### {table.plan.title}", "", _line(names), _line(["---"] * len(names))]
    for row in table.rows:
        filled = cells(row, table) if row.seeds else [row.arm, row.recipe, verdict(row)]
        lines.append(_line(filled + [""] * (len(names) - len(filled))))
    return "\n".join([*lines, "", *(f"- {line}" for line in table.protocol), ""])


def _line(values: list[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|").replace("\n", " ") for value in values) + " |"
