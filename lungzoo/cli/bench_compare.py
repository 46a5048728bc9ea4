"""`lungzoo bench compare`: two runs, arms or suites against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.output import JSON_OPTION, make_console

if TYPE_CHECKING:
    from rich.table import Table

    from lungzoo.suites.compare.differences import Compared, Difference

SIDE = "A run (its id, or the beginning of it), an arm as 'SUITE:ARM', or a suite (its name, or its .toml file)"


def compare(
    first: str = typer.Argument(metavar="A", help=f"{SIDE}."),
    second: str = typer.Argument(metavar="B", help="The other one, likewise."),
    metric: str | None = typer.Option(None, help="Metric to compare by; the suite's own, or Dice, where not given."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Say whether A differs from B, on the same test cases: difference, interval, and whether it holds up."""
    from lungzoo.suites.compare.differences import compare_names
    from lungzoo.suites.compare.words import to_dict
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    compared = compare_names(first, second, MlflowTracker, metric)
    if as_json:
        typer.echo(json.dumps(to_dict(compared), indent=1, allow_nan=False))
    else:
        _print(compared)


def _print(compared: Compared) -> None:
    from rich.text import Text

    from lungzoo.suites.compare.words import remarks, title, verdict

    console = make_console()
    console.print(Text(f"First: {compared.first.name}\nSecond: {compared.second.name}"))
    every = zip(compared.pairs, compared.differences, compared.others, strict=True)
    for pair, difference, others in every:
        console.print(Text(f"\n{title(pair)}", style="bold"))
        console.print(_table([difference, *others]))
        console.print(Text(verdict(difference, len(compared.pairs))))
    console.print()
    for line in remarks(compared):
        console.print(Text(line, style="dim"))


def _table(differences: list[Difference]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lungzoo.suites.compare.words import cells

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, heading in enumerate(("", "First [95% CI]", "Second [95% CI]", "First – second [95% CI]")):
        table.add_column(Text(heading), justify="right" if number else "left")
    for difference in differences:
        table.add_row(*map(Text, cells(difference)))
    return table
