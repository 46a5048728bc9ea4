"""`lungzoo data export`: a volume of a dataset, on its own grid."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class What(StrEnum):
    """What is exported."""

    image = "image"
    mask = "mask"


def export(
    folder: Path = typer.Argument(help="A prepared dataset."),
    volume: str = typer.Argument(help="Name of a volume, as in the column 'volume' of cases.parquet."),
    out: Path = typer.Option(..., "--out", "-o", help="File to make: .nii, .nii.gz, .mha or .nrrd."),
    what: What = typer.Option(What.image, help="The image, or the mask."),
    min_readers: int = typer.Option(1, min=1, help="A voxel of a mask is lesion where so many readers drew it."),
    force: bool = typer.Option(False, "--force", help="Replace an existing file."),
) -> None:
    """Write the image or mask of a volume on the grid that its source had."""
    from lungzoo.data.files.export import export_volume
    from lungzoo.data.store import PreparedDataset

    made = export_volume(PreparedDataset(folder), volume, out, what.value, min_readers, force)
    typer.echo(f"Wrote {made}.")
