"""`lungzoo data augment`: what training sees of a dataset."""

from __future__ import annotations

from pathlib import Path

import typer

from lungzoo.cli.output import starting_tensorflow
from lungzoo.cli.settings import read_setting


def augment(
    folder: Path = typer.Argument(help="A prepared dataset."),
    preset: str = typer.Option("medium", help="none, light, medium or heavy."),
    settings: list[str] = typer.Option([], "--set", help="Any augment setting, KEY=VALUE; repeatable."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="PNG file to write. \\[default: NAME-augment-PRESET.png]"
    ),
    cases: int = typer.Option(6, min=1, help="Cases, one a row."),
    seed: int = typer.Option(0, min=0, help="Same seed, same picture."),
) -> None:
    """Draw cases as they are and as training sees them, the lesion outlined."""
    from lungzoo.config import AugmentConfig
    from lungzoo.data.contact_sheet import augmented_sheet
    from lungzoo.data.store import PreparedDataset
    from lungzoo.schema import parse

    values = {"preset": preset, **dict(read_setting(setting) for setting in settings)}
    config = parse(AugmentConfig, values, "lungzoo data augment")
    dataset = PreparedDataset(folder)
    path = out or Path(f"{dataset.name}-augment-{preset}.png")
    with starting_tensorflow():
        augmented_sheet(dataset, path, config, rows=cases, seed=seed)
    typer.echo(f"Wrote {path}.")
