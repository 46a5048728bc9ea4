"""`lungzoo data split`: write the split that a benchmark with these settings uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lungzoo.config import DataConfig

SET_OPTION = typer.Option(
    [], "--set", help="Any setting of the split, KEY=VALUE, such as folds=5 or groups=near; repeatable."
)


def split(
    folder: Path = typer.Argument(help="A prepared dataset."),
    out: Path = typer.Option(..., "--out", "-o", help="JSON file to write."),
    val: float | None = typer.Option(None, help="Share of patients for validation. \\[default: 0.15]"),
    test: float | None = typer.Option(None, help="Share of patients for testing. \\[default: 0.15]"),
    seed: int | None = typer.Option(None, help="split_seed. \\[default: 0]"),
    folds: int | None = typer.Option(None, help="Deal into this many folds; fold 0 is for testing, or --set fold=K."),
    settings: list[str] = SET_OPTION,
    force: bool = typer.Option(False, "--force", help="Replace an existing file."),
) -> None:
    """Write the patient split that a benchmark with these settings uses."""
    from lungzoo.cli.searching import search_progress
    from lungzoo.data.splits.split import PARTS, split_dataset
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import UsageError, storage_error

    if out.exists() and not force:
        raise UsageError(f"{out} exists already. Choose another name with --out, or replace it with --force.")
    given = {"val_fraction": val, "test_fraction": test, "split_seed": seed, "folds": folds}
    dataset = PreparedDataset(folder)
    config = data_config(settings, given, "lungzoo data split")
    with search_progress() as progress:
        parts = split_dataset(dataset, config, progress)
    try:
        parts.save(out)
    except OSError as error:
        raise storage_error("write the split", error) from error
    counts = ", ".join(f"{part} {len(getattr(parts, part))}" for part in PARTS)
    kept = "" if parts.grouping in ("patient", "case") else ", near-duplicates kept together"
    typer.echo(f"Wrote {out}: patients {counts} ({parts.scheme}{kept}).")
    if not dataset.patients_known:
        typer.echo(f"Note: '{dataset.name}' names no patients: {_instead(parts.grouping)}")


def _instead(grouping: str) -> str:
    if grouping == "case":
        return "each image counts as one and goes its own way, so slices of one person may be in two parts."
    return (
        "each image counts as one, and those that near-duplicate slices link are in one part. Other slices of one "
        "person may still be in two; --set groups=case keeps nothing together."
    )


def data_config(settings: list[str], given: Mapping[str, Any], where: str) -> DataConfig:
    """Return the data settings that the options of a command mean; "data." before a key may be left out."""
    from lungzoo.cli.settings import read_setting
    from lungzoo.config import DataConfig
    from lungzoo.schema import parse

    values = {key.removeprefix("data."): value for key, value in map(read_setting, settings)}
    values |= {key: value for key, value in given.items() if value is not None}
    return parse(DataConfig, values, where)
