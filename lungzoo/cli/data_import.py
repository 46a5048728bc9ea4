"""`lungzoo data import`: a source becomes a prepared dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.output import progress_bar
from lungzoo.cli.settings import read_setting
from lungzoo.errors import DatasetError, ImportRefused, storage_error

if TYPE_CHECKING:
    from lungzoo.data.readers import Reader


def import_(
    reader: str = typer.Argument(help="Format of the source; see: lungzoo list readers"),
    source: Path = typer.Argument(help="Folder, archive or file to read."),
    dest: Path = typer.Argument(help="Folder to make."),
    array: str | None = typer.Option(None, help="Which array of a case is the image, where the format has several."),
    slices: str | None = typer.Option(
        None, help="Of whole volumes take all slices, those that cut a lesion (lesion), or N more around (lesion+N)."
    ),
    settings: list[str] = typer.Option([], "--set", help="Any setting of the reader, KEY=VALUE; repeatable."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be read and what is at fault, and stop."),
    skip_faulty: bool = typer.Option(False, "--skip-faulty", help="Import what is sound of a source with faults."),
    faults: Path | None = typer.Option(None, help="Write the whole list of faulty files here."),
) -> None:
    """Import a dataset; nothing is written unless every file is sound."""
    from lungzoo.data.readers import READERS
    from lungzoo.data.writer import check_destination, import_dataset

    reader_class = READERS.get(reader)
    options = dict(read_setting(setting) for setting in settings)
    options |= {key: value for key, value in {"array": array, "slices": slices}.items() if value is not None}
    try:
        opened = reader_class(source, options)
        if dry_run:
            _preview(opened, dest, skip_faulty, faults)
            return
        check_destination(dest, source)
        with progress_bar("Reading") as progress:
            skipped = import_dataset(opened, reader, dest, progress, skip_faulty)
    except ImportRefused as refused:
        if faults:
            _write_faults(refused, faults)
        raise
    for note in opened.notes:
        typer.echo(f"Note: {note}")
    if skipped:
        _tell_left_out(source, skipped, "Left out", faults)
    typer.echo(f"Made {dest}. Look at it with: lungzoo data show {dest}")


def _preview(opened: Reader, dest: Path, skip_faulty: bool, faults: Path | None) -> None:
    """Say what an import would do, and refuse what it would refuse as far as headers tell."""
    from lungzoo.data.writer import check_destination

    typer.echo(f"{opened.title} in {opened.source}; nothing was written.")
    for what, value in opened.preview().items():
        typer.echo(f"  {what}: {value}")
    for note in opened.notes:
        typer.echo(f"Note: {note}")
    taken: DatasetError | None = None
    try:
        check_destination(dest, opened.source)
    except DatasetError as error:
        taken = error
    if opened.foreseen and not skip_faulty:
        if taken:
            typer.echo(f"Note: {taken}", err=True)
        raise ImportRefused(str(opened.source), opened.foreseen)
    if opened.foreseen:
        _tell_left_out(opened.source, opened.foreseen, "Would leave out", faults)
    if taken:
        raise taken


def _tell_left_out(source: Path, left_out: list[str], what: str, faults: Path | None) -> None:
    refused = ImportRefused(str(source), left_out)
    typer.echo(f"{what} {len(left_out)} faulty file(s):\n{refused.listing}", err=True)
    if faults:
        try:
            _write_list(left_out, faults)
        except OSError as error:
            typer.echo(f"Note: {storage_error('write the list of faults', error)}", err=True)


def _write_faults(refused: ImportRefused, path: Path) -> None:
    """Write the whole list; if that fails, the refusal says so after its own words."""
    try:
        _write_list(refused.faults, path)
    except OSError as error:
        refused.args = (f"{refused}\n{storage_error('write the list of faults', error)}",)


def _write_list(faults: list[str], path: Path) -> None:
    path.write_text("\n".join(faults) + "\n", encoding="utf-8", errors="backslashreplace")
