"""`lungzoo predict`: lesions of scans, on the scans' own grids."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.hubs import HUB_OPTION, named_weights, use_hubs

if TYPE_CHECKING:
    from lungzoo.inference.outputs import Plan
    from lungzoo.inference.result import Result


def predict(
    inputs: list[Path] = typer.Argument(
        help="DICOM folder, zip or file; .nii, .nii.gz, .mhd, .mha, .nrrd; .png, .tif, .npy; or a prepared dataset. "
        "Several are predicted one after the other."
    ),
    out: list[Path] = typer.Option(
        ..., "--out", "-o",
        help="File to make: .nii.gz, .nii, .nrrd, .mha, .dcm (DICOM SEG), .png or .json; repeatable. Of several scans "
        "a folder.",
    ),
    weights: list[str] = typer.Option(
        ..., "--weights", "-w",
        help="Published name, run:ID, suite:NAME/ARM, hf:ORG/NAME, or path of weights with a manifest; several are "
        "averaged.",
    ),
    hub: list[str] = HUB_OPTION,
    formats: list[str] = typer.Option(
        [], "--format", help="Ending of the files in an output folder, such as json; repeatable. \\[default: nii.gz]"
    ),
    series: str = typer.Option("", help="Of a DICOM source with several CT series: number in the list, or UID."),
    hu_offset: int = typer.Option(0, help="Added to the pixels of PNG, TIFF and NPY to get HU, such as -1024."),
    threshold: float | None = typer.Option(
        None, help="Probability from which a voxel is lesion. \\[default: as the weights say]"
    ),
    lungs: bool | None = typer.Option(None, "--lungs/--no-lungs", help="Only what lies in the lung fields counts."),
    fill_holes: bool | None = typer.Option(None, "--fill-holes/--no-fill-holes", help="Fill what a lesion encloses."),
    min_volume_mm3: float | None = typer.Option(None, min=0, help="Drop components that are smaller."),
    largest: int | None = typer.Option(None, min=1, help="Keep at most so many components."),
    min_area_mm2: float | None = typer.Option(None, min=0, help="Drop smaller components of each slice by itself."),
    largest_per_slice: int | None = typer.Option(None, min=1, help="Keep at most so many components of each slice."),
    tta: bool | None = typer.Option(
        None, "--tta/--no-tta", help="Average over mirror images: four times the work. \\[default: as the weights say]"
    ),
    batch_size: int = typer.Option(4, min=1, help="Slices at once; halved where memory runs out."),
    tile: int | None = typer.Option(None, min=32, help="Cut slices into overlapping tiles of this many pixels a side."),
    force: bool = typer.Option(False, "--force", help="Replace existing files."),
) -> None:  # fmt: skip
    """Find the lesions of scans with trained weights; masks have exactly the grid of their scan."""
    from lungzoo.cli.output import progress_bar, starting_tensorflow, tell_notes
    from lungzoo.inference.inputs import Reading, find_inputs
    from lungzoo.inference.many import predict_all
    from lungzoo.inference.members import open_members
    from lungzoo.inference.outputs import plan_outputs
    from lungzoo.inference.predict import Settings
    from lungzoo.inference.predictor import Passes

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    use_hubs(hub)
    found = find_inputs(inputs, Reading(series, hu_offset))
    plans = plan_outputs(found, out, formats, force)
    steps = {"lungs": lungs, "fill_holes": fill_holes, "min_volume_mm3": min_volume_mm3, "largest": largest}
    steps |= {"min_area_mm2": min_area_mm2, "largest_per_slice": largest_per_slice}
    changes = {key: value for key, value in steps.items() if value is not None}
    settings = Settings(threshold, changes, Passes(batch_size, tile, tta, tell))

    def done(plan: Plan, result: Result) -> None:
        tell_notes(result.volume.notes)
        typer.echo(f"{plan.scan.name}: {result.in_words()}. Wrote {', '.join(map(str, plan.paths))}.")

    with ExitStack() as stack:
        with starting_tensorflow(onednn=True):
            members = stack.enter_context(open_members(named_weights(weights)))
        predict_all(plans, members, settings, lambda: progress_bar("Predicting"), done)
