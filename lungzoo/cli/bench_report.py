"""`lungzoo bench report`: the results of a suite, as a table, a file or a published folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lungzoo.suites.report.report import Report

SUITE = typer.Argument(help="Name of a shipped suite, or a path to a .toml file; see: lungzoo list suites")


def report(
    suite: str = typer.Argument(help="Name of a suite that has run, or a path to its .toml file."),
    to: str | None = typer.Option(None, help="text, csv, md, latex, html or json; else what the suffix of --out says."),
    out: Path | None = typer.Option(None, "--out", "-o", help="File to write; one that exists is replaced."),
    as_json: bool = typer.Option(False, "--json", help="Same as --to json."),
    paper: Path | None = typer.Option(
        None, help="Folder to write tables and figures into, as a document that latexmk compiles."
    ),
    publish: Path | None = typer.Option(
        None, help="Folder to write the finished suite into, such as benchmarks/results; see benchmarks/README.md."
    ),
    explain: str | None = typer.Option(
        None,
        metavar="METHOD",
        help="Maps for best, median and worst cases of the selected arm, on the HTML page; see: "
        "lungzoo list explanations.",
    ),
    data: Path | None = typer.Option(None, help="For --explain: the prepared dataset that the suite was run on."),
) -> None:
    """Print the table of the newest run of a suite, half done or whole."""
    from lungzoo.errors import UsageError
    from lungzoo.suites.report.formats.registry import TEXT, choose_format, write_file

    folders = [name for name, folder in (("--publish", publish), ("--paper", paper)) if folder is not None]
    if folders and (len(folders) > 1 or to or out or as_json):
        raise UsageError(f"{' and '.join(folders)}: give one alone, without --to, --json and --out.")
    chosen = choose_format("json" if as_json else to, out)
    if explain is not None and (folders or chosen != "html" or data is None):
        raise UsageError("--explain puts maps on the HTML page. Give -o FILE.html and --data DIR with it.")
    if data is not None and explain is None:
        raise UsageError("--data is for --explain METHOD. Leave it out, or give both.")
    found = open_report(suite)
    if explain is not None and data is not None:
        found = _with_maps(found, explain, data)
    if publish is not None:
        _publish(found, suite, publish)
    elif paper is not None:
        from lungzoo.suites.report.formats.paper import write_paper

        files = write_paper(found, paper)
        typer.echo(f"Wrote {len(files)} files. Make {paper}/report.pdf with: cd {paper} && latexmk")
    elif out is not None:
        write_file(_rendered(found, chosen), out)
        typer.echo(f"Wrote {out}.")
    elif chosen == TEXT:
        from lungzoo.cli.render import print_table

        print_table(found.table)
    else:
        typer.echo(_rendered(found, chosen), nl=False)


def open_report(suite: str) -> Report:
    """Return the report of the newest run of a suite; raises UsageError where it has none."""
    from lungzoo.suites.recorded import recorded_suite
    from lungzoo.suites.report.report import build_report
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    return build_report(*recorded_suite(suite, MlflowTracker))


def _with_maps(found: Report, method: str, data: Path) -> Report:
    from dataclasses import replace

    from lungzoo.cli.output import progress_bar, starting_tensorflow
    from lungzoo.data.store import PreparedDataset
    from lungzoo.explain.suite import explain_suite, open_suite
    from lungzoo.inference.predictor import Passes

    with starting_tensorflow():
        models = open_suite(found, method, PreparedDataset(data))
    with progress_bar("Explaining") as progress:
        passes = Passes(tell=lambda line: typer.echo(line, err=True))
        return replace(found, explained=(explain_suite(models, passes, progress),))


def _rendered(found: Report, name: str) -> str:
    from lungzoo.suites.report.formats.registry import FORMATS, TEXT

    if name != TEXT:
        return FORMATS[name].render(found)
    import io

    from rich.console import Console

    from lungzoo.cli.render import print_table

    file = io.StringIO()
    print_table(found.table, Console(file=file, force_terminal=False))
    return file.getvalue()


def _publish(found: Report, suite: str, folder: Path) -> None:
    from lungzoo.content import find_content
    from lungzoo.suites.report.publishing.provenance import provenance
    from lungzoo.suites.report.publishing.publish import publish

    made = publish(found, find_content("suites", suite), folder)
    for note in provenance(found.results)["notes"]:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Published in {made}.")
