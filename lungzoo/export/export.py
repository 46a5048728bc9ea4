"""Weights in, a file of another kind out, whose answers were compared with the model's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lungzoo.errors import ExportError, LungzooError, UsageError, missing_extra
from lungzoo.export.agreement import TOLERANCE, Agreement, compare
from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs
from lungzoo.export.examples import Examples, of_dataset, of_phantom
from lungzoo.export.heads import with_heads
from lungzoo.export.places import Place, place_of, put, scratch_beside
from lungzoo.export.sheet import files_of, sheet_of
from lungzoo.inference.predictor import Predictor
from lungzoo.models.served import shapes_of
from lungzoo.quiet import quiet

_ODD_PX = (3, 5)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        kind: name of a format.
        out: file to make, or folder.
        side_px: height and width of the input, where the format fixes them; None takes those of the training.
        quantise: "float16", "int8", or None.
        data: a prepared dataset whose slices answers are compared on; None takes synthetic ones.
        force: replace what is there.
    """

    kind: str
    out: Path
    side_px: int | None = None
    quantise: str | None = None
    data: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Exported:
    """What was made.

    Args:
        place: where it is.
        size_bytes: of the file or folder, without what lies beside it.
        shape: of its input; None where any size goes.
        agreement: with the model.
        source: of the slices that were compared, in words.
        left_out: the second stage of the weights, which such a file cannot hold; "" where it does, or there is none.
    """

    place: Place
    size_bytes: int
    shape: tuple[int | None, ...]
    agreement: Agreement
    source: str
    left_out: str = ""


def check_request(request: Request) -> Place:
    """Find what is wrong with a request before any weights are read; return where its files go.

    Raises:
        UnknownNameError: no such format.
        UsageError: the format cannot do what is asked, a package is missing, or something is in the way.
    """
    kind = EXPORT_FORMATS.get(request.kind)
    if request.quantise and request.quantise not in kind.quantise:
        able = [f"{name} ({', '.join(each.quantise)})" for name, each in EXPORT_FORMATS.items() if each.quantise]
        raise UsageError(
            f"--to {request.kind} does not go with --quantize {request.quantise}. Allowed: {'; '.join(able)}."
        )
    if request.quantise == "int8" and request.data is None:
        raise UsageError(
            "--quantize int8 needs --data DIR, a prepared dataset: the ranges of its slices become the integers'."
        )
    if request.side_px is not None and not kind.fixed_size:
        raise UsageError(f"--to {request.kind} takes slices of any size. Leave --size {request.side_px} out.")
    for package in kind.packages:
        if find_spec(package) is None:
            raise missing_extra(package, "export", f"Exports to {request.kind}")
    return place_of(request.out, kind, request.kind, request.force)


def export_weights(predictor: Predictor, request: Request) -> Exported:
    """Write a model with its weights as another kind of file, and compare the answers.

    Args:
        predictor: the model, its weights and their protocol.
        request: what is asked for.

    Raises:
        UsageError: see `check_request`; the size is not known, or slices of the dataset are smaller.
        DatasetError, ConfigError: the dataset does not go with the weights.
        ExportError: the model does not become such a file, or the file answers differently; nothing is written.
        StorageError: it cannot be written.
    """
    place, kind = check_request(request), EXPORT_FORMATS.get(request.kind)
    _check_backend(kind, request.kind)
    examples = _examples(predictor, request, kind)
    job = _job(predictor, request, kind, examples)
    with scratch_beside(place.out) as scratch:
        made = scratch / place.out.name
        agreement = _write_and_compare(job, kind, made, _batches(examples.shown, kind))
        if not request.quantise and not agreement.holds:
            raise ExportError(
                f"'{predictor.manifest.name}' as {request.kind} answers differently: by up to "
                f"{agreement.probability:.2g} in probability and {agreement.scaled:.2g} of the largest logit on "
                f"{examples.source}; allowed are {TOLERANCE:g}. Nothing was written. Try another format."
            )
        sheet = sheet_of(predictor, request.kind, request.quantise, job.shape, agreement, examples.source)
        sheet["files"] = files_of(scratch, [made, *(scratch / path.name for path in place.beside)])
        text = json.dumps(sheet, indent=1, ensure_ascii=False) + "\n"
        (scratch / place.sheet.name).write_text(text, encoding="utf-8")
        put(scratch, place)
    size = sum(file["size_bytes"] for file in sheet["files"] if file["name"].split("/")[0] == place.out.name)
    second = predictor.manifest.second_stage
    left_out = second.name if second and not kind.holds_second_stage else ""
    return Exported(place, size, job.shape, agreement, examples.source, left_out)


def _check_backend(kind: ExportFormat, name: str) -> None:
    import keras

    if not kind.any_backend and keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"Exports to {name} need Keras on TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()}. "
            "Leave it out."
        )


def _examples(predictor: Predictor, request: Request, kind: ExportFormat) -> Examples:
    """Read or make slices, of the size that the file is made for where that is fixed."""
    if request.data is not None:
        examples = of_dataset(predictor, request.data, request.quantise == "int8")
        side_px = request.side_px or min(*examples.side_px, *(predictor.seen_px or ()))
    else:
        side_px = _fixed_px(predictor, request) if kind.fixed_size else 0
        examples = of_phantom(predictor, side_px or None)
    return examples.cut(side_px) if kind.fixed_size else examples


def _fixed_px(predictor: Predictor, request: Request) -> int:
    """Return the side that is asked for, else that of the squares of the training."""
    if request.side_px:
        return request.side_px
    seen = predictor.seen_px
    if seen and seen[0] == seen[1]:
        return seen[0]
    size = f"{seen[0]}×{seen[1]} pixels" if seen else "a size that its manifest does not say"
    raise UsageError(
        f"--to {request.kind} fixes height and width, and '{predictor.manifest.name}' was trained on slices of {size}. "
        "Give --size PX, such as 256, or --data DIR for the size of its slices."
    )


def _job(predictor: Predictor, request: Request, kind: ExportFormat, examples: Examples) -> Job:
    sizes, _ = shapes_of(predictor.manifest.model)
    shape: tuple[int | None, ...] = tuple(None if side == -1 else side for side in sizes)
    if kind.fixed_size:
        shape = (None, *examples.shown.shape[1:])
    second = predictor.second if kind.holds_second_stage else None
    about = (predictor.model, predictor.manifest, second)
    return Job(with_heads(predictor.model), *about, shape, request.quantise, examples.samples)


def _batches(shown: np.ndarray, kind: ExportFormat) -> list[np.ndarray]:
    """Return a batch, and one of another size, which also is no multiple of the network's stride."""
    down, across = _ODD_PX
    other = shown[:1] if kind.fixed_size else shown[:1, ..., :-down, :-across, :]
    return [shown, np.ascontiguousarray(other)]


def _write_and_compare(job: Job, kind: ExportFormat, path: Path, batches: list[np.ndarray]) -> Agreement:
    name = job.manifest.name
    with quiet("tf2onnx"):
        ours = [_as_arrays(job.model.predict_on_batch(batch)) for batch in batches]
        try:
            kind.write(job, path)
        except (LungzooError, OSError):
            raise
        except Exception as error:  # converters raise anything
            raise ExportError(
                f"'{name}' does not become {path.name}: {_first_line(error)}. Try another format."
            ) from error
        try:
            theirs = [kind.run(path, batch) for batch in batches]
            return compare(ours, theirs, batches)
        except Exception as error:  # so do those who read what they made
            raise ExportError(
                f"'{name}' became {path.name}, but does not run: {_first_line(error)}. Nothing was written."
            ) from error


def _as_arrays(outputs: dict[str, object]) -> Outputs:
    return {head: np.asarray(values, np.float32) for head, values in outputs.items()}


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].partition("<unknown>")[0]  # after it MLIR prints its own stack
    return text[:300].rstrip(".") or type(error).__name__
