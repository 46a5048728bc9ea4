"""Printing: listings as a table or JSON, notes, and how far a long step is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from lungzoo.events import Progress

PIPED_WIDTH = 160  # of files and pipes, which do not say how wide they are
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
JSON_OPTION = typer.Option(False, "--json", help="Print JSON for programs.")


def print_listing(rows: list[dict[str, Any]], as_json: bool, hidden: tuple[str, ...] = ()) -> None:
    """Print rows of the same keys as JSON, or as a table without the `hidden` columns."""
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        typer.echo("Nothing matches.")
        return
    from rich.table import Table
    from rich.text import Text

    shown = [column for column in rows[0] if column not in hidden]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in shown:
        table.add_column(column, no_wrap=column == "name", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(row[column])) for column in shown))
    make_console().print(table)


def make_console(console: Console | None = None) -> Console:
    """Return a console for tables, the given one or that of stdout; a wide one where that is no terminal."""
    from rich.console import Console

    console = console or Console()
    return console if console.is_terminal else Console(file=console.file, width=PIPED_WIDTH, force_terminal=False)


def tell_notes(notes: Iterable[str]) -> None:
    """Say on stderr what was put right or left out on the way to a result."""
    for note in notes:
        typer.echo(f"Note: {note}", err=True)


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Show on a terminal how far a long step is, from the first time that it says so."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


@contextmanager
def starting_tensorflow(onednn: bool = False) -> Iterator[None]:
    """Have TensorFlow start without a word: what its C++ writes to stderr then, no setting of its own stops.

    Args:
        onednn: use it unless the user said no. By itself TensorFlow does so on Linux where the processor has VNNI,
            BF16 or AMX; on one without them, an AMD EPYC, a U-Net takes half the time with it (docs/predicting.md).
            The last digits differ, so training, whose runs are known by their settings, leaves it alone; gradients
            make it say what it cannot do.
    """
    if onednn:
        os.environ.setdefault(ONEDNN, "1")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "–"
    return str(value)
