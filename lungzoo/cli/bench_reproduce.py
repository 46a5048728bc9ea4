"""`lungzoo bench reproduce`: a recorded run once more, and whether it comes out the same."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from lungzoo.cli.output import JSON_OPTION


def reproduce(
    run: str = typer.Argument(help="Id of a finished run, or the beginning of it; see: lungzoo ui"),
    data: Path | None = typer.Option(None, help="Dataset that it was trained on; the built-in phantom needs none."),
    runs: Path | None = typer.Option(None, help="Folder that keeps progress, to go on after a stop; else temporary."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Train a recorded run again from its own artifacts, and say whether the result is the same."""
    from lungzoo.cli.progress import make_display
    from lungzoo.cli.searching import search_ahead
    from lungzoo.executors.local import LocalExecutor
    from lungzoo.suites.reproduce.carry_out import EXPERIMENT, reproduce
    from lungzoo.suites.reproduce.original import dataset_of, load_original
    from lungzoo.suites.reproduce.outcome import in_words, to_dict
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(EXPERIMENT)
    original = load_original(run, tracker)
    dataset = dataset_of(original, data)
    search_ahead(dataset, [original.config])
    with make_display() as display:
        outcome = reproduce(
            original, dataset, tracker=tracker, executor=LocalExecutor(), observe=display, runs=runs
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(to_dict(outcome), indent=1, allow_nan=False))
    else:
        for line in in_words(outcome):
            typer.echo(line)
        typer.echo(f"Recorded as run {outcome.run_id} of the experiment '{EXPERIMENT}' in {tracker.uri}.")
    if not outcome.reproduced:
        raise typer.Exit(1)
