"""`lungzoo data …`: make, import, look at and split datasets."""

from __future__ import annotations

from pathlib import Path

import typer

from lungzoo.cli.data_audit import audit
from lungzoo.cli.data_export import export
from lungzoo.cli.data_import import import_
from lungzoo.cli.data_sheet import augment
from lungzoo.cli.data_split import split
from lungzoo.cli.output import JSON_OPTION, progress_bar
from lungzoo.errors import StorageError

app = typer.Typer(help="Make, import and look at datasets.", no_args_is_help=True)
for _verb in (audit, augment, export, split):
    app.command()(_verb)
app.command("import")(import_)


@app.command()
def phantom(
    dest: Path = typer.Argument(help="Folder to make."),
    patients: int = typer.Option(40, help="Number of patients, at least 3."),
    slices: int = typer.Option(8, help="Slices per patient."),
    size: int = typer.Option(128, help="Image side in pixels, 64 to 512."),
    seed: int = typer.Option(0, help="Same seed, same dataset."),
) -> None:
    """Make a synthetic chest-CT dataset in HU with nodules of known shape."""
    from lungzoo.config import PhantomConfig
    from lungzoo.data.readers.phantom import PhantomReader
    from lungzoo.data.writer import import_dataset
    from lungzoo.schema import parse

    values = {"patients": patients, "slices_per_patient": slices, "size_px": size, "seed": seed}
    config = parse(PhantomConfig, values, "lungzoo data phantom")
    with progress_bar("Drawing slices") as progress:
        import_dataset(PhantomReader(config), "phantom", dest, progress)
    typer.echo(f"Made {dest}. Look at it with: lungzoo data show {dest}")


@app.command()
def show(
    folder: Path = typer.Argument(help="A prepared dataset."),
    sheet: Path | None = typer.Option(None, help="Where to save the contact sheet. \\[default: NAME-sheet.png]"),
    as_json: bool = JSON_OPTION,
) -> None:
    """Count a dataset's cases and draw a contact sheet with the lesions outlined."""
    import json

    from lungzoo.cli.summary import summary_lines
    from lungzoo.data.contact_sheet import contact_sheet
    from lungzoo.data.store import PreparedDataset
    from lungzoo.data.summary import summarise

    dataset = PreparedDataset(folder)
    path = sheet or Path(f"{dataset.name}-sheet.png")
    failed: StorageError | None = None
    try:
        contact_sheet(dataset, path)
    except StorageError as error:  # the counts are no worse for it
        failed = error
    facts = {**summarise(dataset), "contact_sheet": "" if failed else str(path)}
    typer.echo(json.dumps(facts, indent=1) if as_json else "\n".join(summary_lines(facts)))
    if failed:
        raise failed
