"""`lungzoo weights …`: published weights: what there is, fetch, verify, where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.output import JSON_OPTION, print_listing
from lungzoo.errors import WeightsUnavailable

if TYPE_CHECKING:
    from lungzoo.weights.hub import Published

app = typer.Typer(help="List, fetch and verify published weights.", no_args_is_help=True)
_OFFLINE = typer.Option(False, "--offline", help="Open no connection. [env: LUNGZOO_OFFLINE]")


@app.command("list")
def list_(
    pattern: str = typer.Argument("*", help="Shell-style pattern, such as 'unet_*'."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Published weights with their scores and where they are."""
    from fnmatch import fnmatchcase

    from lungzoo.weights import hub

    rows = [_row(hub.get(name), as_json) for name in hub.names() if fnmatchcase(name, pattern)]
    print_listing(rows, as_json, hidden=("model", "source", "dataset", "licence", "attribution"))


@app.command()
def fetch(
    names: list[str] = typer.Argument(help="Published names; see: lungzoo weights list"), offline: bool = _OFFLINE
) -> None:
    """Fetch weights into the cache, and print where they are."""
    from lungzoo.weights import hub

    for name in names:
        hub.get(name)  # a misspelt name before anything is fetched
    for name in names:
        typer.echo(f"{name}: {hub.fetch(name, offline or None)}")


@app.command()
def verify(names: list[str] | None = typer.Argument(None, help="Published names; all where none is given.")) -> None:
    """Compare shipped and fetched files with their sha256; exit code 1 where one is damaged."""
    from lungzoo.weights import hub

    damaged = 0
    for name in names or hub.names():
        published = hub.get(name)
        copies = published.copies()
        for kind, path in copies.items():
            fault = published.manifest.fault(path)
            damaged += fault is not None
            typer.echo(f"{name}: {kind}, {f'DAMAGED ({fault})' if fault else 'intact'}: {path}")
        if not copies:
            typer.echo(f"{name}: not fetched")
    if damaged:
        raise WeightsUnavailable(f"{damaged} damaged file(s). Delete them, and run: lungzoo weights fetch NAME")


@app.command()
def where(name: str | None = typer.Argument(None, help="A published name; the cache folder without one.")) -> None:
    """Print the path of a weights file, or of the cache."""
    from lungzoo.weights import hub

    if name is None:
        typer.echo(hub.weights_cache())
        return
    copies = hub.get(name).copies()
    if not copies:
        raise WeightsUnavailable(f"The weights '{name}' are not here. Run: lungzoo weights fetch {name}")
    typer.echo(next(iter(copies.values())))


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
