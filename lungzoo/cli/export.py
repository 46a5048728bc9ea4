"""`lungzoo export`: a model with its weights as a file that others read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lungzoo.cli.hubs import HUB_OPTION, named_weights, use_hubs
from lungzoo.errors import UsageError

if TYPE_CHECKING:
    from lungzoo.export.export import Exported


class Quantise(StrEnum):
    """How numbers are stored."""

    float16 = "float16"
    int8 = "int8"


def export(
    name: str = typer.Argument(help="Published name, run:ID, suite:NAME/ARM, hf:ORG/NAME, or path of weights."),
    to: str = typer.Option(..., "--to", help="onnx, litert, savedmodel, keras or npz; see: lungzoo list formats"),
    out: Path = typer.Option(..., "--out", "-o", help="File to make (savedmodel: folder); OUT.json lies beside it."),
    size: int | None = typer.Option(
        None, min=16, help="Height and width of the input, where the format fixes them (litert)."
    ),
    quantize: Quantise | None = typer.Option(None, help="Smaller numbers: float16 (litert, npz) or int8 (litert)."),
    data: Path | None = typer.Option(
        None, help="Prepared dataset: answers are compared on slices of its validation split, and int8 is fitted to "
        "its training split. \\[default: a synthetic chest]"
    ),
    hub: list[str] = HUB_OPTION,
    force: bool = typer.Option(False, "--force", help="Replace existing files."),
) -> None:  # fmt: skip
    """Write a model for those who do not have lungzoo; its answers are compared with ours before it is kept."""
    from lungzoo.cli.output import starting_tensorflow
    from lungzoo.export.export import Request, check_request, export_weights
    from lungzoo.inference.members import open_members

    use_hubs(hub)
    request = Request(to, out, size, quantize.value if quantize else None, data, force)
    check_request(request)
    with starting_tensorflow(onednn=True), open_members(named_weights([name])) as members:
        if len(members) > 1:
            raise UsageError(
                f"'{name}' is an ensemble of {len(members)} models, and a file holds one. Give a folder in it."
            )
        made = export_weights(members[0], request)
    typer.echo(_in_words(made, request.quantise))


def _in_words(made: Exported, quantise: str | None) -> str:
    found = made.agreement
    *sides, channels = ("any" if side is None else str(side) for side in made.shape)
    shape = f"{'×'.join(sides)}, {channels} channel{'s' * (channels != '1')}"
    *others, last = [path.name for path in made.place.paths[1:]]
    beside = f"{', '.join(others)} and {last}" if others else last
    than = f"{quantise} answers differ from float32" if quantise else "Answers differ from lungzoo's"
    left_out = (
        f"\nThe second stage '{made.left_out}', which names classes, is not in the file." if made.left_out else ""
    )
    return (
        f"Wrote {made.place.out} ({made.size_bytes / 1e6:.2f} MB, input {shape}) with {beside}.\n"
        f"{than} by up to {found.logits:.2g} in logits, {found.probability:.2g} in probability, on {made.source}."
        f"{left_out}"
    )
