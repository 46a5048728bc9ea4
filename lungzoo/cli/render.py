"""The comparison table on a terminal."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lungzoo.cli.output import make_console
from lungzoo.suites.report.columns import Column, columns, verdict
from lungzoo.suites.report.table import ResultTable, Row

MIN_ARM_WIDTH = 20


def print_table(table: ResultTable, console: Console | None = None) -> None:
    """Print the arms with results, then the others with their reasons, then the protocol.

    Where the terminal is too narrow for every column, secondary ones are left out, then arms wrap, then each arm
    becomes a block of lines. Figures are never cut.
    """
    console = make_console(console)
    console.print(Text(table.plan.title, style="bold"))
    _print_results(table, console)
    for row in table.rows:
        if row.status != "finished":
            console.print(Text(f"  {row.arm}: {verdict(row)}"))
    for line in (*table.remarks, *table.protocol):
        console.print(Text(line, style="dim"))


def _print_results(table: ResultTable, console: Console) -> None:
    shown = columns(table)
    rows = [row for row in table.rows if row.seeds]
    if not rows:
        return
    left_out: list[Column] = []
    for column in [None, *sorted((column for column in shown if column.rank), key=lambda column: -column.rank)]:
        left_out += [column] if column else []
        kept = [column for column in shown if column not in left_out]
        grid = _grid(kept, rows)
        if not console.is_terminal:
            console.width = max(console.width, _width(grid, console))
        missing = _width(grid, console) - console.width
        if missing <= 0:
            break
    if missing > 0:
        arm_width = max(cell_len(kept[0].cell(row)) for row in rows) - missing
        if arm_width < MIN_ARM_WIDTH:
            _print_blocks(shown, rows, console)
            return
        grid = _grid(kept, rows, arm_width)
    console.print()
    console.print(grid)
    console.print()
    if left_out:
        names = ", ".join(column.heading for column in shown if column in left_out)
        line = f"Narrow terminal: {names} left out; see lungzoo bench report SUITE --to md"
        console.print(Text(line, style="dim"))


def _grid(shown: list[Column], rows: list[Row], arm_width: int | None = None) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for number, column in enumerate(shown):
        width = arm_width if number == 0 else None
        side: JustifyMethod = "left" if isinstance(column.value(rows[0]), str) else "right"
        grid.add_column(Text(column.heading), justify=side, no_wrap=width is None, overflow="fold", width=width)
    for row in rows:
        arm, *figures = (column.cell(row) for column in shown)
        if arm_width and cell_len(arm) > arm_width:
            arm = arm.replace(" / ", " /\n")
        grid.add_row(Text(arm), *map(Text, figures), style=_style(row))
    return grid


def _style(row: Row) -> str:
    return "bold" if row.selected else ""


def _width(grid: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), grid).maximum


def _print_blocks(shown: list[Column], rows: list[Row], console: Console) -> None:
    first, *others = shown
    main, secondary = ([column for column in others if bool(column.rank) is kind] for kind in (False, True))
    key_width = max(cell_len(column.heading) for column in main)
    for row in rows:
        console.print(Text(f"\n{first.cell(row)}", style=_style(row)))
        for column in main:
            console.print(Text(f"  {column.heading:<{key_width}}  {column.cell(row)}"))
        for line in _filled([f"{column.heading} {column.cell(row)}" for column in secondary], console.width - 2):
            console.print(Text(f"  {line}"))
    console.print()


def _filled(items: list[str], width: int) -> list[str]:
    """Join items into lines of at most `width`; an item stays whole."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 3 <= width:
            lines[-1] += f" · {item}"
        else:
            lines.append(item)
    return lines
