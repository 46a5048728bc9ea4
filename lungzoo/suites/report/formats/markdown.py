"""The comparison table as Markdown."""

from __future__ import annotations

from lungzoo.suites.report.columns import columns, verdict
from lungzoo.suites.report.table import ResultTable


def to_markdown(table: ResultTable, heading: bool = True) -> str:
    """Return a heading, the table, and remarks and protocol as a list."""
    shown = columns(table)
    lines = [f"### {table.plan.title}", ""] if heading else []
    lines += [_line([column.heading for column in shown]), _line(["---"] * len(shown))]
    for row in table.rows:
        filled = [column.cell(row).strip() for column in shown] if row.seeds else [row.arm, row.recipe, verdict(row)]
        lines.append(_line(filled + [""] * (len(shown) - len(filled))))
    return "\n".join([*lines, "", *(f"- {line}" for line in (*table.remarks, *table.protocol)), ""])


def _line(values: list[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|").replace("\n", " ") for value in values) + " |"
