"""`lungzoo data audit`: what training and testing share that they must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.data_split import SET_OPTION, data_config
from lungzoo.cli.hubs import HUB_OPTION, use_hubs
from lungzoo.cli.output import JSON_OPTION, make_console

if TYPE_CHECKING:
    from lungzoo.data.splits.audit import Audit
    from lungzoo.data.splits.split import Split
    from lungzoo.data.store import PreparedDataset
    from lungzoo.tracking.tracker import Tracker


def audit(
    folder: Path = typer.Argument(help="A prepared dataset."),
    against: Path | None = typer.Option(
        None, help="Another prepared dataset, compared with the test part of this one."
    ),
    weights: str | None = typer.Option(
        None,
        help="Published weights, a manifest, or run:ID; their patients are compared with the test part.",
    ),
    hub: list[str] = HUB_OPTION,
    seed: int | None = typer.Option(None, help="Same as --set split_seed=SEED."),
    settings: list[str] = SET_OPTION,
    near: bool = typer.Option(True, "--near/--no-near", help="Look for near-duplicates: minutes, the first time."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Look for patients, volumes and slices that the parts of a split share. Leaves with 1 where it finds any."""
    from lungzoo.cli.searching import search_progress
    from lungzoo.data.splits.audit import audit_against, audit_split, recorded_audit, save_audit
    from lungzoo.data.splits.groups import near_pairs
    from lungzoo.data.splits.split import split_dataset
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import StorageError

    use_hubs(hub)
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
    from lungzoo.data.splits.audit import audit_patients
    from lungzoo.suites.known import manifest_of

    manifest = manifest_of(name, _store)
    return audit_patients(dataset, split, manifest.seen, manifest.name)


def _store() -> Tracker:
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker("train")


def _show(done: Audit) -> None:
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
        make_console().print(table)
    else:
        typer.echo(f"Nothing shared. Looked for: {', '.join(done.looked_for)}.")
    for note in done.notes:
        typer.echo(f"Note: {note}")
