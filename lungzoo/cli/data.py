"""`lungzoo data …`: make, import, look at and split datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.data_audit import audit
from lungzoo.cli.data_export import export
from lungzoo.cli.data_sheet import augment
from lungzoo.cli.data_split import split
from lungzoo.cli.output import JSON_OPTION
from lungzoo.cli.settings import read_setting
from lungzoo.errors import ImportRefused, storage_error

if TYPE_CHECKING:
    from lungzoo.data.writer import Progress

app = typer.Typer(help="Make, import and look at datasets.", no_args_is_help=True)
for _verb in (audit, augment, export, split):
    app.command()(_verb)


@app.command()
def phantom(
    dest: Path = typer.Argument(help="Folder to make."),
    patients: int = typer.Option(40, help="Number of patients."),
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
    with _progress("Drawing slices") as progress:
        import_dataset(PhantomReader(config), "phantom", dest, progress)
    typer.echo(f"Made {dest}. Look at it with: lungzoo data show {dest}")


@app.command("import")
def import_(
    reader: str = typer.Argument(help="Format of the source; see: lungzoo list readers"),
    source: Path = typer.Argument(help="Folder, archive or file to read."),
    dest: Path = typer.Argument(help="Folder to make."),
    array: str | None = typer.Option(None, help="Which array of a case is the image, where the format has several."),
    slices: str | None = typer.Option(
        None, help="Of whole volumes take all slices, those that cut a lesion (lesion), or N more around (lesion+N)."
    ),
    settings: list[str] = typer.Option([], "--set", help="Any setting of the reader, KEY=VALUE; repeatable."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be read, and stop."),
    skip_faulty: bool = typer.Option(False, "--skip-faulty", help="Import what is sound of a source with faults."),
    faults: Path | None = typer.Option(None, help="Write the whole list of faulty files here."),
) -> None:
    """Import a dataset; nothing is written unless every file is sound."""
    from lungzoo.data.readers import READERS
    from lungzoo.data.writer import import_dataset

    reader_class = READERS.get(reader)
    options = dict(read_setting(setting) for setting in settings)
    options |= {key: value for key, value in {"array": array, "slices": slices}.items() if value is not None}
    try:
        opened = reader_class(source, options)
        if dry_run:
            typer.echo(f"{reader_class.title} in {source}; nothing was written.")
            for what, value in opened.preview().items():
                typer.echo(f"  {what}: {value}")
            return
        with _progress("Reading") as progress:
            skipped = import_dataset(opened, reader, dest, progress, skip_faulty)
    except ImportRefused as refused:
        if faults:
            _write_faults(refused, faults)
        raise
    for note in opened.notes:
        typer.echo(f"Note: {note}")
    if skipped:
        listing = ImportRefused(str(source), skipped).listing
        typer.echo(f"Left out {len(skipped)} faulty file(s):\n{listing}", err=True)
        if faults:
            faults.write_text("\n".join(skipped) + "\n", encoding="utf-8", errors="backslashreplace")
    typer.echo(f"Made {dest}. Look at it with: lungzoo data show {dest}")


@app.command()
def show(
    folder: Path = typer.Argument(help="A prepared dataset."),
    sheet: Path | None = typer.Option(None, help="Where to save the contact sheet. [default: NAME-sheet.png]"),
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
    contact_sheet(dataset, path)
    facts = {**summarise(dataset), "contact_sheet": str(path)}
    typer.echo(json.dumps(facts, indent=1) if as_json else "\n".join(summary_lines(facts)))


def _write_faults(refused: ImportRefused, path: Path) -> None:
    """Write the whole list; if that fails, the refusal says so after its own words."""
    try:
        path.write_text("\n".join(refused.faults) + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        refused.args = (f"{refused}\n{storage_error('write the list of faults', error)}",)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
