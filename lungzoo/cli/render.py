"""The comparison table on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from lungzoo.suites.report.columns import cells, headings, verdict
from lungzoo.suites.report.table import ResultTable


def print_table(table: ResultTable, console: Console | None = None) -> None:
    """Print the arms with results, then the others with their reasons, then the protocol."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=160)
    names = headings(table)
    grid = Table(title=table.plan.title, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left")
    for number, name in enumerate(names):
        grid.add_column(name, justify="left" if number < 2 else "right", no_wrap=number != 0, overflow="fold")
    for row in table.rows:
        if row.seeds:
            grid.add_row(*cells(row, table), style="bold" if row.selected else "")
    if grid.row_count:
        console.print(grid)
    else:
        console.print(table.plan.title, style="bold")
    for row in table.rows:
        if row.status != "finished":
            console.print(f"  {row.arm}: {verdict(row)}", markup=False, highlight=False)
    for line in table.protocol:
        console.print(line, style="dim", markup=False, highlight=False)
