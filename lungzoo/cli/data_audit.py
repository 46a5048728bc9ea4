"""`lungzoo data audit`: what training and testing share that they must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.data_split import SET_OPTION, data_config
from lungzoo.cli.output import JSON_OPTION

if TYPE_CHECKING:
    from lungzoo.data.audit import Audit
    from lungzoo.data.split import Split
    from lungzoo.data.store import PreparedDataset


def audit(
    folder: Path = typer.Argument(help="A prepared dataset."),
    against: Path | None = typer.Option(
        None, help="Another prepared dataset, compared with the test part of this one."
    ),
    weights: str | None = typer.Option(
        None,
        help="Weights that ship with lungzoo, or a manifest; their patients are compared with the test part.",
    ),
    seed: int | None = typer.Option(None, help="Same as --set split_seed=SEED."),
    settings: list[str] = SET_OPTION,
    near: bool = typer.Option(True, "--near/--no-near", help="Look for near-duplicates: minutes, the first time."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Look for patients, volumes and slices that the parts of a split share. Leaves with 1 where it finds any."""
    from lungzoo.data.audit import audit_against, audit_split, recorded_audit, save_audit
    from lungzoo.data.groups import near_pairs
    from lungzoo.data.split import split_dataset
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import StorageError

    dataset = PreparedDataset(folder)
    config = data_config(settings, {"split_seed": seed}, "lungzoo data audit")
    with search_progress() as progress:
        split = split_dataset(dataset, config, progress)
        audits = [audit_split(dataset, split, near_pairs(dataset, progress) if near else None)]
        if against is not None:
            audits.append(audit_against(dataset, split, PreparedDataset(against), near, progress))
    if weights is not None:
        audits.append(_of_weights(weights, dataset, split))
    if near or recorded_audit(dataset, split) is None:
        try:
            save_audit(dataset, audits[0])
        except StorageError as error:
            typer.echo(f"Note: {error} 'lungzoo bench run' will not know of these findings.", err=True)
    if as_json:
        leaks = any(done.leaks for done in audits)
        typer.echo(json.dumps({"leaks": leaks, "audits": [done.to_dict() for done in audits]}, indent=1))
    else:
        for done in audits:
            _show(done)
    if any(done.leaks for done in audits):
        raise typer.Exit(1)


def _of_weights(name: str, dataset: PreparedDataset, split: Split) -> Audit:
    from lungzoo.content import find_content
    from lungzoo.data.audit import audit_patients
    from lungzoo.weights.manifest import read_manifest

    manifest = read_manifest(find_content("weights", name))
    patients = manifest.trained_on.patients if manifest.trained_on else None
    return audit_patients(dataset, split, (*patients.train, *patients.val) if patients else (), manifest.name)


def _show(done: Audit) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    typer.echo(f"Compared {done.subject}.")
    if done.leaks:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("kind", "between", "count", "examples"):
            table.add_column(column, overflow="fold", justify="right" if column == "count" else "left")
        for found in done.findings:
            more = ["…"] if found.count > len(found.examples) else []
            examples = "\n".join([*found.examples, *more])
            table.add_row(Text(found.kind), Text(found.between), str(found.count), Text(examples))
        Console().print(table)
    else:
        typer.echo(f"Nothing shared. Looked for: {', '.join(done.looked_for)}.")
    for note in done.notes:
        typer.echo(f"Note: {note}")


@contextmanager
def search_progress() -> Iterator[Callable[[int, int], None]]:
    """Show how far the search for near-duplicates is, on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("Looking for near-duplicates"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("near", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
