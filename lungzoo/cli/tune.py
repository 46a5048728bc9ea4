"""`lungzoo tune …`: search hyperparameters, and take over what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.output import make_console
from lungzoo.cli.tune_postprocess import postprocess

if TYPE_CHECKING:
    from lungzoo.config import SpaceConfig
    from lungzoo.search.plan import SearchPlan
    from lungzoo.search.results import SearchResults

app = typer.Typer(help="Search hyperparameters, and take over what was found.", no_args_is_help=True)
app.command("postprocess")(postprocess)
SPACE = typer.Argument(help="Name of a shipped search space, or a path to a .toml file; see: lungzoo list spaces")


@app.command()
def show(space: str = SPACE) -> None:
    """Print a search space and the number of its combinations."""
    from lungzoo.search.space import load_space

    _print_space(load_space(space))


@app.command()
def run(
    space: str = SPACE,
    model: str = typer.Option(..., help="Name of a model; see: lungzoo list models"),
    data: Path = typer.Option(..., help="Prepared dataset."),
    transfer: str = typer.Option("scratch", help="scratch, imagenet-finetune, …: what the search starts from."),
    epochs: int = typer.Option(20, help="Longest training of a trial."),
    batch_size: int = typer.Option(16, help="Slices per step."),
    settings: list[str] = typer.Option(
        [], "--set", help="Any further config key, such as --set augment.shift_px=24; repeatable."
    ),
    tuner: str = typer.Option("hyperband", help="random, grid, bayesian or hyperband."),
    trials: int | None = typer.Option(None, help="Most trials; random and bayesian have 20 unless told."),
    total_epochs: int | None = typer.Option(None, help="Most epochs of all trials together."),
    hours: float | None = typer.Option(None, help="Longest time of the search."),
    repeats: int = typer.Option(1, help="Seeds per trial, whose mean counts."),
    prune: bool = typer.Option(False, "--prune", help="End trials that fall behind the median of the others."),
    factor: int = typer.Option(3, help="Of Hyperband: one in so many trials goes on, for so many times the epochs."),
    seed: int = typer.Option(0, help="train_seed of the trials; the next ones with --repeats."),
    search_seed: int = typer.Option(0, help="Which settings are tried."),
    name: str | None = typer.Option(None, help="Name of the search; SPACE-MODEL unless told."),
    workers: int = typer.Option(1, min=1, help="Processes that train; one GPU each where there are several."),
    listen: str | None = typer.Option(None, help="HOST:PORT at which workers of other machines find this search."),
    runs: Path = typer.Option(Path("runs"), help="Folder for searches in progress."),
    fresh: bool = typer.Option(False, "--fresh", help="Start the search over."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check and show what would be searched, and stop."),
) -> None:
    """Search a space by validation Dice; the test split is left shut. A stopped search goes on where it was."""
    from lungzoo.cli.settings import experiment_settings
    from lungzoo.data.store import PreparedDataset
    from lungzoo.schema import parse
    from lungzoo.search.plan import SearchPlan
    from lungzoo.search.space import load_space

    found = load_space(space)
    given = {"epochs": epochs, "batch_size": batch_size, "train_seed": seed}
    base = experiment_settings(model, transfer, given, settings)
    dataset = PreparedDataset(data)
    plan = parse(
        SearchPlan,
        {
            "name": name or f"{found.name}-{model.replace('/', '-')}",
            "space": found.model_dump(),
            "base": base,
            "tuner": tuner,
            "trials": trials,
            "total_epochs": total_epochs,
            "hours": hours,
            "repeats": repeats,
            "prune": prune,
            "factor": factor,
            "search_seed": search_seed,
            "dataset": dataset.fingerprint,
        },
        "lungzoo tune run",
    )

    from lungzoo.cli.searching import search_ahead
    from lungzoo.search.crew import check_address
    from lungzoo.search.run import check_search_plan, run_search, search_folder

    if dry_run:
        check_address(listen)
        check_search_plan(plan, dataset)
        if not fresh:
            plan.refuse_another(search_folder(runs, plan.name))
        _print_space(found)
        typer.echo(f"{_ahead(plan)} Nothing was started.")
        return

    from lungzoo.cli.progress_search import make_search_display
    from lungzoo.tracking.mlflow_search import PREFIX
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    check_search_plan(plan, dataset)  # before a tracking store is made
    search_ahead(dataset, [plan.experiment])
    tracker = MlflowTracker(PREFIX + plan.name)
    with make_search_display() as display:
        results = run_search(
            plan,
            dataset,
            tracker=tracker,
            runs=runs,
            observe=display,
            workers=workers,
            address=listen,
            fresh=fresh,
        )
    _print_results(results)
    typer.echo(f"Recorded in {tracker.uri}. Browse it with: lungzoo ui")
    if results.best is None:
        raise typer.Exit(1)
    if results.learned:
        typer.echo(f"Take over the best settings with: lungzoo tune apply {plan.name}")
    else:
        typer.echo("Its settings are no better than any: search with more epochs, or other ranges.")


@app.command()
def join(
    folder: Path = typer.Argument(help="Folder of the search, such as runs/tune-NAME; shared with the chief."),
    chief: str = typer.Option(..., help="HOST:PORT of the chief, as `tune run --listen` has it."),
    workers: int = typer.Option(1, min=1, help="Processes that train on this machine."),
    name: str | None = typer.Option(None, help="Begins the workers' names; this machine's name unless told."),
) -> None:
    """Work for a search that runs on another machine."""
    import platform

    from lungzoo.cli.progress_search import make_search_display
    from lungzoo.search.run import join_search

    with make_search_display() as display:
        join_search(folder, address=chief, workers=workers, name=name or platform.node(), observe=display)


@app.command("apply")
def apply_(
    search: str = typer.Argument(help="Name of a search."),
    name: str | None = typer.Option(None, help="Name of the result; the search's unless told."),
    to: Path | None = typer.Option(None, help="Folder to write into; a checkout's tuning/best unless told."),
    force: bool = typer.Option(False, "--force", help="Replace a result that is there; take over one of Dice 0."),
) -> None:
    """Write the best settings of a search as TOML, which a suite names with: transfers = ["tuned:NAME"]."""
    from lungzoo.content import content_dir
    from lungzoo.search.apply import apply_search

    path, tuned = apply_search(search, name, to, force)
    typer.echo(f"Wrote {path}: validation Dice {tuned.val_dice:.3f}, {len(tuned.settings)} setting(s).")
    known = tuned.name if path.parent == content_dir("best") else path
    typer.echo(f'Name it as an arm of a suite with: transfers = ["tuned:{known}"]')


def _print_space(space: SpaceConfig) -> None:
    import math

    from rich.table import Table
    from rich.text import Text

    from lungzoo.search.space import count_combinations, values_of

    console = make_console()
    console.print(Text(space.title, style="bold"))
    if space.description:
        console.print(Text(space.description))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("parameter", "values", "how many", "only where"):
        table.add_column(heading, no_wrap=heading == "parameter")
    for key, parameter in space.parameters.items():
        values = values_of(parameter)
        when = ", ".join(f"{parent} is {' or '.join(map(str, allowed))}" for parent, allowed in parameter.when.items())
        table.add_row(*map(Text, (key, _limits(parameter), str(len(values)) if values else "any", when)))
    console.print(table)
    count = count_combinations(space)
    console.print(
        f"{count:.0f} combinations." if math.isfinite(count) else "No end of combinations: a range has no step."
    )


def _limits(parameter: Any) -> str:
    if parameter.choices:
        return ", ".join(map(str, parameter.choices))
    step = "" if parameter.step is None else f", {'ratio' if parameter.scale == 'log' else 'step'} {parameter.step}"
    return f"{parameter.low} to {parameter.high}{', log' if parameter.scale == 'log' else ''}{step}"


def _ahead(plan: SearchPlan) -> str:
    """Say what a search will do at most."""
    import math

    from lungzoo.search.plan import TUNERS, hyperband_rungs
    from lungzoo.search.space import count_combinations

    limits = [f"at most {plan.most_trials} trials" if plan.most_trials else ""]
    limits += [f"at most {plan.total_epochs} epochs" if plan.total_epochs else ""]
    limits += [f"at most {plan.hours:g} hours" if plan.hours else ""]
    if plan.tuner == "hyperband":
        epochs = plan.experiment.train.epochs
        whole, most = (
            sum(size for size, _ in hyperband_rungs(epochs, plan.factor, settings))
            for settings in (math.inf, count_combinations(plan.space))
        )
        trials = f"{whole} trials a sweep" if most == whole else f"at most {most} trials, for want of combinations,"
        limits.insert(0, f"{trials} of up to {epochs} epochs")
    return f"{TUNERS[plan.tuner]}: {', '.join(filter(None, limits)) or 'every combination'}."


def _print_results(results: SearchResults) -> None:
    from rich.table import Table
    from rich.text import Text

    headings, rows = results.rows(10)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(Text, row))
    console = make_console()
    console.print(table)
    if len(results.outcomes) > len(rows):
        console.print(f"{len(results.outcomes) - len(rows)} more in the artifact trials.csv.")
    typer.echo(results.headline())
    typer.echo(results.cost())
