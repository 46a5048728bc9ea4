"""`lungzoo bench …`: run suites and read their tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli import bench_compare, bench_report, bench_reproduce

if TYPE_CHECKING:
    from lungzoo.config import SuiteConfig
    from lungzoo.data.store import PreparedDataset

app = typer.Typer(help="Run benchmark suites and read their tables.", no_args_is_help=True)
app.command("report")(bench_report.report)
app.command("compare")(bench_compare.compare)
app.command("reproduce")(bench_reproduce.reproduce)


@app.command()
def run(
    suite: str = bench_report.SUITE,
    data: Path | None = typer.Option(None, help="Prepared dataset; suites with a built-in one need none."),
    runs: Path = typer.Option(Path("runs"), help="Folder for runs in progress."),
    fresh: bool = typer.Option(False, "--fresh", help="Run everything again, finished or not."),
    allow_leakage: bool = typer.Option(
        False, "--allow-leakage", help="Run although training has seen the test split; the table says so."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would run, and stop."),
) -> None:
    """Train and compare every arm of a suite. Finished runs are kept; a stopped suite goes on where it was."""
    from lungzoo.suites.grid import expand, load_suite

    config = load_suite(suite)
    if dry_run:
        _preview(config, data, fresh, allow_leakage)
        return
    dataset = _open_dataset(config, data)

    from lungzoo.cli.progress import make_display
    from lungzoo.cli.render import print_table
    from lungzoo.cli.searching import search_ahead
    from lungzoo.executors.local import LocalExecutor
    from lungzoo.suites.execute import run_suite
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(config.name)
    search_ahead(dataset, expand(config))
    with make_display() as display:
        report = run_suite(
            config,
            dataset,
            tracker=tracker,
            runs=runs,
            executor=LocalExecutor(),
            observe=display,
            fresh=fresh,
            allow_leakage=allow_leakage,
        )
    rows = report.table.rows
    print_table(report.table)
    typer.echo(f"Recorded in {tracker.uri}. Browse it with: lungzoo ui")
    if any("failed" in row.outcomes for row in rows) or not any(row.seeds for row in rows):
        raise typer.Exit(1)


def _preview(config: SuiteConfig, data: Path | None, fresh: bool, allow_leakage: bool) -> None:
    """Check all that can be checked without training, and list the runs."""
    from lungzoo.cli.progress import make_display
    from lungzoo.cli.searching import search_ahead
    from lungzoo.suites.builtin import made_phantom
    from lungzoo.suites.execute import preview_suite
    from lungzoo.suites.grid import expand
    from lungzoo.tracking.mlflow_connection import default_uri, has_experiment
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    experiments = expand(config)
    if data is None:
        dataset = made_phantom(config.phantom) if config.phantom else None
    else:
        dataset = _open_dataset(config, data)
    if dataset is not None:
        search_ahead(dataset, experiments)
    from_runs = any(experiment.transfer.starts_from == "run" for experiment in experiments)
    tracker = MlflowTracker(config.name) if from_runs or has_experiment(default_uri(), config.name) else None
    with make_display() as display:
        runs = preview_suite(
            config, dataset, tracker=tracker, observe=display, fresh=fresh, allow_leakage=allow_leakage
        )
    for experiment, finished in runs:
        typer.echo(f"{experiment.arm}, seed {experiment.train.train_seed}{': finished' if finished else ''}")
    kept = sum(finished for _, finished in runs)
    done = f", {kept} of them finished" if kept else ""
    if tracker is not None and dataset is None and not fresh:
        done = "; which of them are finished is not known without it"
    typer.echo(f"{len(runs)} run(s) on {_data_name(config, data)}{done}; nothing was started.")


def _data_name(config: SuiteConfig, data: Path | None) -> str:
    if data is not None:
        return str(data)
    return "the built-in phantom" if config.phantom else "the dataset given with --data"


def _open_dataset(config: SuiteConfig, data: Path | None) -> PreparedDataset:
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import UsageError
    from lungzoo.suites.builtin import phantom_dataset

    if data is not None:
        return PreparedDataset(data)
    if config.phantom is None:
        raise UsageError(
            f"Suite '{config.name}' needs a dataset. Give one with --data DIR; make one with: lungzoo data import"
        )
    return phantom_dataset(config.phantom)
