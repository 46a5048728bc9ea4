"""`lungzoo explain`: why a model marks what it marks, as a map over a slice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.hubs import HUB_OPTION, named_weights, use_hubs
from lungzoo.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from lungzoo.inference.inputs import Input

_SHOWN = 5


def explain(
    source: Path = typer.Argument(
        metavar="INPUT",
        help="A scan: DICOM folder, zip or file; .nii, .nii.gz, .mhd, .mha, .nrrd; .png, .tif, .npy; or a prepared "
        "dataset.",
    ),
    out: list[Path] = typer.Option(
        ..., "--out", "-o",
        help="File to make: .png (picture), .npy (the slice's map), .nii.gz, .nii, .nrrd or .mha (on the scan's grid); "
        "repeatable.",
    ),
    weights: list[str] = typer.Option(
        ..., "--weights", "-w",
        help="Published name, run:ID, suite:NAME/ARM, hf:ORG/NAME, or path of weights with a manifest; several for "
        "uncertainty.",
    ),
    method: str = typer.Option("seg-hires-cam", "--method", "-m", help="See: lungzoo list explanations."),
    level: str = typer.Option("", help="Level of the encoder, such as P4. \\[default: the deepest]"),
    lesion: int | None = typer.Option(
        None, min=1, help="Explain this lesion, the largest first. \\[default: all in the slice]"
    ),
    at: str = typer.Option(
        "", metavar="Z,Y,X", help="Explain the lesion at a voxel; where there is none, the voxel alone."
    ),
    slice_z: int | None = typer.Option(
        None, "--slice", min=0, help="Slice, from 0 at the feet. \\[default: that of the largest lesion]"
    ),
    volume: str = typer.Option("", help="Of a prepared dataset with several volumes: which."),
    settings: list[str] = typer.Option(
        [], "--set", help="Setting of the method as KEY=VALUE, such as patch=8mm; repeatable."
    ),
    hub: list[str] = HUB_OPTION,
    series: str = typer.Option("", help="Of a DICOM source with several CT series: number in the list, or UID."),
    hu_offset: int = typer.Option(0, help="Added to the pixels of PNG, TIFF and NPY to get HU, such as -1024."),
    threshold: float | None = typer.Option(
        None, help="Probability from which a voxel is lesion. \\[default: as the weights say]"
    ),
    lungs: bool | None = typer.Option(None, "--lungs/--no-lungs", help="Only what lies in the lung fields counts."),
    batch_size: int = typer.Option(4, min=1, help="Inputs at once; halved where memory runs out."),
    force: bool = typer.Option(False, "--force", help="Replace existing files."),
) -> None:  # fmt: skip
    """Show why a model marks what it marks in a slice, or where it is unsure."""
    from lungzoo.cli.output import progress_bar, starting_tensorflow, tell_notes
    from lungzoo.explain.outputs import check_outputs, write_outputs
    from lungzoo.explain.run import checked_options, explain_scan
    from lungzoo.explain.target import Target
    from lungzoo.inference.inputs import Reading, find_inputs
    from lungzoo.inference.members import open_members
    from lungzoo.inference.predict import Settings
    from lungzoo.inference.predictor import Passes

    use_hubs(hub)
    options = _options(level, settings)
    checked_options(method, options)
    target = Target(lesion, _voxel(at), slice_z)
    found = _one(find_inputs([source], Reading(series, hu_offset)), volume)
    check_outputs(found, out, force)
    changes: dict[str, bool | float | int] = {} if lungs is None else {"lungs": lungs}
    passes = Passes(batch_size, tell=lambda line: typer.echo(line, err=True))
    with ExitStack() as stack:
        with starting_tensorflow():
            members = stack.enter_context(open_members(named_weights(weights)))
        progress = stack.enter_context(progress_bar("Explaining"))
        how = Settings(threshold, changes, passes)
        explanation = explain_scan(found, members, method, options, target, how, progress)
    write_outputs(explanation, out, force)
    tell_notes(explanation.result.volume.notes)
    typer.echo(f"{found.name}: {explanation.words}. Wrote {', '.join(map(str, out))}.")


def _options(level: str, settings: list[str]) -> dict[str, Any]:
    from lungzoo.cli.settings import read_setting

    return ({"level": level} if level else {}) | dict(read_setting(setting) for setting in settings)


def _voxel(text: str) -> tuple[int, int, int] | None:
    """Read "Z,Y,X"."""
    if not text:
        return None
    try:
        z, y, x = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--at takes a voxel as Z,Y,X, such as --at 40,210,333. Received: '{text}'") from None
    return z, y, x


def _one(found: list[Input], volume: str) -> Input:
    """Choose the volume that is explained."""
    names = [each.name for each in found]
    if volume and volume not in names:
        raise UsageError(f"Unknown volume '{volume}'.{did_you_mean(volume, names)} {_hint(names)}")
    if not volume and len(found) != 1:
        raise UsageError(f"There are {len(found)} volumes, and one is explained. Choose with --volume. {_hint(names)}")
    return found[names.index(volume)] if volume else found[0]


def _hint(names: list[str]) -> str:
    rest = f", … and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Allowed: {', '.join(names[:_SHOWN])}{rest}."
