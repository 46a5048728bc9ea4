"""`lungzoo list …`: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.output import JSON_OPTION, print_listing

if TYPE_CHECKING:
    from lungzoo.config import TunedConfig

app = typer.Typer(help="List models, encoders, suites and what else there is.", no_args_is_help=True)
PATTERN = typer.Argument("*", help="Shell-style pattern, such as 'unet_*'.")


@app.command()
def models(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Models: an encoder with a decoder."""
    from lungzoo.models.load import published_starts
    from lungzoo.models.zoo import MODELS

    starts = published_starts()
    rows = [
        {
            "name": name,
            "encoder": spec.encoder,
            "decoder": spec.decoder,
            "provider": spec.provider,
            "dims": spec.dims,
            "weights": [*spec.weights, *starts.get(spec.encoder, ())],
            "description": spec.description,
        }
        for name, spec in MODELS.items()
    ]
    _print(rows, pattern, as_json, hidden=("encoder", "decoder", "provider", "dims"))
    from lungzoo.models.segmentation_models import hidden_reason

    if reason := hidden_reason():
        typer.echo(reason, err=True)


@app.command()
def encoders(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Encoders with their pretrained weights, options and papers."""
    from lungzoo.encoders import ENCODERS
    from lungzoo.models.load import published_starts

    starts = published_starts()
    rows = [
        {
            "name": name,
            "weights": [*spec.weights, *starts.get(name, ())],
            "options": dict(spec.options),
            "levels": list(spec.levels),
            "scaling": spec.scaling,
            "description": spec.paper,
            "licence": spec.licence,
        }
        for name, spec in ENCODERS.items()
    ]
    _print(rows, pattern, as_json, hidden=("levels", "scaling", "licence"))


@app.command()
def decoders(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Decoders."""
    from lungzoo.decoders import DECODERS

    rows = [
        {"name": name, "channels": list(spec.channels), "description": f"{spec.title}; {spec.paper}"}
        | {"widths": spec.widths, "ignores": list(spec.ignores)}
        for name, spec in DECODERS.items()
    ]
    _print(rows, pattern, as_json)


@app.command()
def losses(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Losses."""
    from lungzoo.losses import LOSSES
    from lungzoo.losses.combine import loss_options

    rows = [
        {
            "name": name,
            "options": {key: option.default for key, option in loss_options(loss).items()},
            "description": _summary(loss),
        }
        for name, loss in LOSSES.items()
    ]
    _print(rows, pattern, as_json)


@app.command()
def classifiers(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Classifiers of marked lesions, the second stage of a run."""
    from lungzoo.classifiers import CLASSIFIERS

    rows = [
        {"name": name, "options": dict(spec.options), "description": spec.title} for name, spec in CLASSIFIERS.items()
    ]
    _print(rows, pattern, as_json)


@app.command()
def recipes(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Transfer recipes."""
    from lungzoo.models.transfer import RECIPES

    rows = [
        {
            "name": name,
            "start": recipe.start,
            "options": dict(recipe.options),
            "description": f"{recipe.title}. {recipe.about}",
        }
        for name, recipe in RECIPES.items()
    ]
    _print(rows, pattern, as_json)


@app.command()
def metrics(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Metrics of a case; any that a slice has can lead a suite's table."""
    from lungzoo.metrics.contract import METRICS

    rows = [
        {
            "name": name,
            "title": metric.title,
            "unit": metric.unit,
            "better": metric.better,
            "over": metric.over,
            "dimensions": list(metric.dimensions),
            "description": metric.description,
        }
        for name, metric in METRICS.items()
    ]
    _print(rows, pattern, as_json, hidden=("title",))


@app.command()
def explanations(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Methods of `lungzoo explain`, with their settings and papers."""
    from lungzoo.explain.contract import EXPLANATIONS

    rows = [
        {
            "name": name,
            "options": method.defaults,
            "description": f"{method.title}: {method.about}",
            "paper": method.paper,
        }
        for name, method in EXPLANATIONS.items()
    ]
    _print(rows, pattern, as_json)


@app.command()
def readers(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Dataset formats that `lungzoo data import` reads."""
    from lungzoo.data.readers import READERS

    rows = [
        {"name": name, "options": dict(reader.options), "description": reader.title, "licence": reader.licence}
        for name, reader in READERS.items()
    ]
    _print(rows, pattern, as_json, hidden=("licence",))


@app.command()
def suites(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Benchmark suites that ship with lungzoo."""
    from lungzoo.content import content_names
    from lungzoo.suites.grid import expand, load_suite

    rows = []
    for name in content_names("suites"):
        suite = load_suite(name)
        data = "built in" if suite.phantom else "--data DIR"
        rows.append({"name": name, "runs": len(expand(suite)), "data": data, "description": suite.title})
    _print(rows, pattern, as_json)


@app.command()
def spaces(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Search spaces that ship with lungzoo."""
    from lungzoo.content import content_names
    from lungzoo.search.space import load_space

    found = [load_space(name) for name in content_names("spaces")]
    rows = [{"name": each.name, "parameters": list(each.parameters), "description": each.title} for each in found]
    _print(rows, pattern, as_json)


@app.command()
def best(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Tuned settings that ship with lungzoo; a suite names them "tuned:NAME"."""
    from lungzoo.content import content_names
    from lungzoo.suites.tuned import load_tuned

    found = [load_tuned(name) for name in content_names("best")]
    rows = [
        {
            "name": each.name,
            "model": each.model,
            "val_dice": round(each.val_dice, 3),
            "description": _origin(each),
            "settings": each.settings,
        }
        for each in found
    ]
    _print(rows, pattern, as_json, hidden=("settings",))


@app.command()
def formats(pattern: str = PATTERN, as_json: bool = JSON_OPTION) -> None:
    """Kinds of files that `lungzoo export` writes."""
    from lungzoo.export.contract import EXPORT_FORMATS

    rows = [
        {
            "name": name,
            "ending": kind.suffix or "folder",
            "size": "fixed" if kind.fixed_size else "any",
            "quantize": list(kind.quantise),
            "description": f"{kind.title}; read by {kind.reader}",
            "packages": list(kind.packages),
        }
        for name, kind in EXPORT_FORMATS.items()
    ]
    _print(rows, pattern, as_json, hidden=("packages",))


def _origin(tuned: TunedConfig) -> str:
    about = tuned.provenance
    return f"{about.trials} trials of {about.tuner}, space '{about.space}'"


def _print(rows: list[dict[str, Any]], pattern: str, as_json: bool, hidden: tuple[str, ...] = ()) -> None:
    from fnmatch import fnmatchcase

    print_listing([row for row in rows if fnmatchcase(row["name"], pattern)], as_json, hidden)


def _summary(entry: object) -> str:
    return (entry.__doc__ or "").strip().partition("\n")[0]
