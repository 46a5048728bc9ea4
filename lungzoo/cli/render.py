"""The comparison table on a terminal."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lungzoo.suites.report.columns import SECONDARY, cells, headings, verdict
from lungzoo.suites.report.table import ResultTable

PLAIN_WIDTH = 160  # of files and pipes, which grow where that is too little
MIN_ARM_WIDTH = 20


def print_table(table: ResultTable, console: Console | None = None) -> None:
    """Print the arms with results, then the others with their reasons, then the protocol.

    Where the terminal is too narrow for every column, secondary ones are left out, then arms wrap, then each arm
    becomes a block of lines. Figures are never cut.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=PLAIN_WIDTH, force_terminal=False)
    console.print(Text(table.plan.title, style="bold"))
    _print_results(table, console)
    for row in table.rows:
        if row.status != "finished":
            console.print(Text(f"  {row.arm}: {verdict(row)}"))
    for line in table.protocol:
        console.print(Text(line, style="dim"))


def _print_results(table: ResultTable, console: Console) -> None:
    names = headings(table)
    rows = [cells(row, table) for row in table.rows if row.seeds]
    styles = ["bold" if row.selected else "" for row in table.rows if row.seeds]
    if not rows:
        return
    for dropped in range(len(SECONDARY) + 1):
        left_out = SECONDARY[:dropped]
        kept = [number for number, name in enumerate(names) if name not in left_out]
        grid = _grid([names[k] for k in kept], [[row[k] for k in kept] for row in rows], styles)
        if not console.is_terminal:
            console.width = max(console.width, _width(grid, console))
        missing = _width(grid, console) - console.width
        if missing <= 0:
            break
    if missing > 0:
        arm_width = max(cell_len(row[0]) for row in rows) - missing
        if arm_width < MIN_ARM_WIDTH:
            _print_blocks(names, rows, styles, console)
            return
        grid = _grid([names[k] for k in kept], [[row[k] for k in kept] for row in rows], styles, arm_width)
    console.print()
    console.print(grid)
    console.print()
    if left_out:
        shown = ", ".join(name for name in names if name in left_out)
        line = f"Narrow terminal: {shown} left out; see lungzoo bench report SUITE --to md"
        console.print(Text(line, style="dim"))


def _grid(names: list[str], rows: list[list[str]], styles: list[str], arm_width: int | None = None) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(names):
        width = arm_width if number == 0 else None
        justify = "left" if number < 2 else "right"
        grid.add_column(Text(name), justify=justify, no_wrap=width is None, overflow="fold", width=width)  # type: ignore[arg-type]
    for (arm, *figures), style in zip(rows, styles, strict=True):
        if arm_width and cell_len(arm) > arm_width:
            arm = arm.replace(" / ", " /\n")
        grid.add_row(Text(arm), *map(Text, figures), style=style)
    return grid


def _width(grid: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), grid).maximum


def _print_blocks(names: list[str], rows: list[list[str]], styles: list[str], console: Console) -> None:
    key_width = max(cell_len(name) for name in names if name not in SECONDARY)
    for (arm, *figures), style in zip(rows, styles, strict=True):
        console.print(Text(f"\n{arm}", style=style))
        pairs = list(zip(names[1:], figures, strict=True))
        for name, figure in pairs:
            if name not in SECONDARY:
                console.print(Text(f"  {name:<{key_width}}  {figure}"))
        for line in _filled([f"{name} {figure}" for name, figure in pairs if name in SECONDARY], console.width - 2):
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
