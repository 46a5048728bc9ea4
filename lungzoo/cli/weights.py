"""`lungzoo weights …`: published weights: what there is, fetch, verify, where, publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.hubs import HUB_OPTION, use_hubs
from lungzoo.cli.output import JSON_OPTION, print_listing
from lungzoo.errors import WeightsUnavailable

if TYPE_CHECKING:
    from lungzoo.weights.hub import Published

app = typer.Typer(help="List, fetch, verify and publish weights.", no_args_is_help=True)
_OFFLINE = typer.Option(False, "--offline", help="Open no connection. [env: LUNGZOO_OFFLINE]")


@app.command("list")
def list_(
    pattern: str = typer.Argument("*", help="Shell-style pattern, such as 'unet_*'."),
    hub: list[str] = HUB_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Published weights with their scores and where they are."""
    from lungzoo.weights.hub import everything

    use_hubs(hub)
    rows = [_row(published, as_json) for published in everything(pattern)]
    print_listing(rows, as_json, hidden=("model", "source", "dataset", "licence", "attribution"))


@app.command()
def fetch(
    names: list[str] = typer.Argument(help="Published names, or hf:ORG/NAME; see: lungzoo weights list"),
    hub: list[str] = HUB_OPTION,
    offline: bool = _OFFLINE,
) -> None:
    """Fetch weights into the cache, and print where they are."""
    from lungzoo.weights.hub import fetch_file, get_all

    use_hubs(hub)
    wanted = get_all(names, offline or None)  # a misspelt name before anything is fetched
    for name, published in zip(names, wanted, strict=True):
        typer.echo(f"{name}: {fetch_file(published, offline or None)}")


@app.command()
def verify(
    names: list[str] | None = typer.Argument(None, help="Published names; all where none is given."),
    hub: list[str] = HUB_OPTION,
) -> None:
    """Compare shipped and fetched files with their sha256; exit code 1 where one is damaged."""
    from lungzoo.weights import hub as known

    use_hubs(hub)
    damaged = 0
    for published in known.get_all(names) if names else known.everything():
        name, copies = published.manifest.name, published.copies()
        for kind, path in copies.items():
            fault = published.manifest.fault(path)
            damaged += fault is not None
            typer.echo(f"{name}: {kind}, {f'DAMAGED ({fault})' if fault else 'intact'}: {path}")
        if not copies:
            typer.echo(f"{name}: not fetched")
    if damaged:
        raise WeightsUnavailable(f"{damaged} damaged file(s). Delete them, and run: lungzoo weights fetch NAME")


@app.command()
def where(
    name: str | None = typer.Argument(None, help="A published name; the cache folder without one."),
    hub: list[str] = HUB_OPTION,
) -> None:
    """Print the path of a weights file, or of the cache."""
    from lungzoo.weights.hub import get, weights_cache

    use_hubs(hub)
    if name is None:
        typer.echo(weights_cache())
        return
    copies = get(name).copies()
    if not copies:
        raise WeightsUnavailable(f"The weights '{name}' are not here. Run: lungzoo weights fetch {name}")
    typer.echo(next(iter(copies.values())))


@app.command()
def publish(
    run: str = typer.Argument(help="Id of a finished run, or the beginning of it; see: lungzoo ui"),
    to: str = typer.Option(..., help="A folder, which becomes a hub; mlflow; or hf:ORG/NAME."),
    name: str = typer.Option("", help="Name of the weights. \\[default: MODEL-DATASET-vN]"),
    title: str = typer.Option("", help="A line for people. \\[default: model, transfer and dataset]"),
    licence: str = typer.Option("", help="Licence of the weights. \\[default: that of the data]"),
    private: bool = typer.Option(False, "--private", help="A new Hugging Face repository is seen by its owners only."),
    tuned: Path | None = typer.Option(
        None, help="Folder of lungzoo tune postprocess with this run's weights: publish them with what it chose."
    ),
    force: bool = typer.Option(False, "--force", help="Replace what has the name; without one, these same weights."),
) -> None:
    """Publish the weights of a run with manifest and model card."""
    from lungzoo.suites.sharing.publish import Wishes
    from lungzoo.suites.sharing.publish import publish as hand_on
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    done = hand_on(run, to, Wishes(name, title, licence, force, private, tuned), MlflowTracker("train"))
    typer.echo(f"Published '{done.name}': {done.place}.")
    before = f", and {done.inherited} of what it started from" if done.inherited else ""
    licence = done.licence or "not stated"
    typer.echo(f"It names {done.patients} patients as the dataset does{before}; licence: {licence}.")
    if done.note:
        typer.echo(f"Note: {done.note}", err=True)
    for line in done.use:
        typer.echo(f"  {line}")


def _row(published: Published, as_json: bool) -> dict[str, Any]:
    manifest = published.manifest
    dice = manifest.metrics.get("dice")
    place = next(iter(published.copies()), "not fetched")
    row: dict[str, Any] = {"name": manifest.name, "start": manifest.start or "", "description": manifest.title}
    if as_json:
        row |= {"size_bytes": manifest.size_bytes, "dice": dice.model_dump() if dice else None, "place": place}
    else:
        row |= {"MB": f"{manifest.size_bytes / 1e6:.1f}", "Dice": _interval(dice), "place": place}
    return row | {
        "model": manifest.model.model_dump(mode="json"),
        "source": manifest.source,
        "dataset": manifest.trained_on.dataset if manifest.trained_on else "",
        "licence": manifest.licence,
        "attribution": manifest.attribution,
    }


def _interval(score: Any) -> str:
    if score is None:
        return "–"
    if score.low is None or score.high is None:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"
