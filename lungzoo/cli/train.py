"""`lungzoo train`: one run, without a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from lungzoo.errors import UsageError


def train(
    model: str = typer.Argument(help="Name of a model; see: lungzoo list models"),
    data: Path = typer.Option(..., help="Prepared dataset."),
    transfer: str = typer.Option(
        "scratch", help="scratch, imagenet-finetune, imagenet-frozen, lungzoo:NAME-finetune, run:ID-finetune, …"
    ),
    epochs: int = typer.Option(20, help="Training epochs."),
    batch_size: int = typer.Option(16, help="Slices per step."),
    learning_rate: float = typer.Option(1e-3, help="Peak of the schedule."),
    seed: int = typer.Option(0, help="train_seed."),
    settings: list[str] = typer.Option(
        [], "--set", help="Any further config key, such as --set augment.shift_px=24; repeatable."
    ),
    runs: Path = typer.Option(Path("runs"), help="Folder for runs in progress."),
    allow_leakage: bool = typer.Option(
        False, "--allow-leakage", help="Run although training has seen the test split; the record says so."
    ),
    fresh: bool = typer.Option(False, "--fresh", help="Run again even if this very run is finished."),
) -> None:
    """Fine-tune or train one model, score it on held-out patients, and record it in MLflow.

    A whole model that training starts from brings its sizes along, unless --set names some.
    """
    from lungzoo.cli.progress import make_display
    from lungzoo.cli.settings import experiment_settings
    from lungzoo.config import ExperimentConfig
    from lungzoo.data.store import PreparedDataset
    from lungzoo.schema import parse

    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "train_seed": seed}
    values = experiment_settings(model, transfer, given, settings)
    config = parse(ExperimentConfig, values, "lungzoo train")
    _check_name(model)
    dataset = PreparedDataset(data)

    from lungzoo.checks import check_experiment
    from lungzoo.cli.searching import search_ahead
    from lungzoo.evaluation.labels import auc_in_words
    from lungzoo.executors.local import LocalExecutor
    from lungzoo.suites.execute import finished_runs, run_one
    from lungzoo.suites.sharing.limits import found_nothing
    from lungzoo.suites.sizes import with_sizes
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    as_given = any(setting.startswith("model.") for setting in settings)
    config, _ = with_sizes(config, as_given)  # before a tracking store is made
    search_ahead(dataset, [config])
    tracker = MlflowTracker("train")
    config, note = with_sizes(config, as_given, tracker)
    if note:
        typer.echo(f"Note: {note}", err=True)
    config = check_experiment(config, dataset, tracker, allow_leakage)
    fingerprint = config.fingerprint(dataset.fingerprint)
    with make_display() as display:
        known = not fresh and fingerprint in finished_runs([fingerprint], tracker, display, "dice")
        status = (
            "finished"
            if known
            else run_one(
                config,
                dataset,
                tracker=tracker,
                runs=runs,
                executor=LocalExecutor(),
                observe=display,
                fresh=fresh,
                allow_leakage=allow_leakage,
            )
        )
    if known:
        typer.echo("This very run is finished already; --fresh runs it again.")
    if status != "finished":
        raise typer.Exit(1)
    record = tracker.find([fingerprint])[fingerprint]
    typer.echo(f"Test {_score(record.metrics['dice'])}.")
    if nothing := found_nothing(record):
        typer.echo(f"{nothing} Train for more epochs, or look at the data.")
    if classes := auc_in_words(record.curves):
        typer.echo(classes)
    run = f"run:{tracker.run_id(fingerprint)}"
    typer.echo(
        f"Recorded in {tracker.uri}; browse it with: lungzoo ui\n"
        f"Use it with: lungzoo predict SCAN -o mask.nii.gz --weights {run}\n"
        f"Start another run from it with: --transfer {run}-finetune"
    )


def _check_name(model: str) -> None:
    """Raise UsageError where the model is named after weights, and say how to start from them."""
    from lungzoo.models.zoo import MODELS
    from lungzoo.weights import hub

    if model not in MODELS and model in hub.names(local=True):
        raise UsageError(
            f"'{model}' are weights, and a model is wanted. Start from them with: lungzoo train "
            f"{hub.find(model).model.name} --transfer lungzoo:{model}-finetune"
        )


def _score(dice: dict[str, Any]) -> str:
    """Dice 0.712 [0.640, 0.780] on 40 slices …"""
    known = dice["low"] == dice["low"]
    interval = f"[{dice['low']:.3f}, {dice['high']:.3f}]" if known else "(too few for an interval)"
    cases = f"{dice['cases']} slices with a lesion of {dice['patients']} patient(s)"
    return f"Dice {dice['mean']:.3f} {interval} on {cases}"
