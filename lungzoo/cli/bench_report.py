"""`lungzoo bench report`: the results of a suite, as a table or a file."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lungzoo.suites.report.report import Report

SUITE = typer.Argument(help="Name of a shipped suite, or a path to a .toml file; see: lungzoo list suites")


class Format(StrEnum):
    """Renderings of a report."""

    text = "text"
    md = "md"
    json = "json"


def report(
    suite: str = SUITE,
    to: Format = typer.Option(Format.text, help="Rendering."),
    as_json: bool = typer.Option(False, "--json", help="Same as --to json."),
) -> None:
    """Print the table of the newest run of a suite, half done or whole."""
    found = open_report(suite)
    if as_json or to is Format.json:
        typer.echo(json.dumps(found.table.to_dict(), indent=1))
    elif to is Format.md:
        from lungzoo.suites.report.markdown import to_markdown

        typer.echo(to_markdown(found.table))
    else:
        from lungzoo.cli.render import print_table

        print_table(found.table)


def open_report(suite: str) -> Report:
    """Return the report of the newest run of a suite; raises UsageError where it has none."""
    from lungzoo.errors import UsageError
    from lungzoo.suites.grid import load_suite
    from lungzoo.suites.report.report import build_report
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    name = load_suite(suite).name
    tracker = MlflowTracker(name)
    plan = tracker.last_plan()
    if plan is None:
        raise UsageError(f"No run of suite '{name}' in {tracker.uri}. Start one with: lungzoo bench run {suite}")
    return build_report(plan, tracker)
