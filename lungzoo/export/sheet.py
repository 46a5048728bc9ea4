"""What someone without lungzoo must know to use an exported file: a JSON file beside it."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lungzoo.config import DataConfig
from lungzoo.data.preprocess.grey import DEVIATIONS, ranges_of
from lungzoo.export.agreement import TOLERANCE, Agreement
from lungzoo.export.heads import AXES, INPUT
from lungzoo.inference.predictor import Predictor

SHEET_VERSION = 1


def sheet_of(
    predictor: Predictor, kind: str, quantise: str | None, shape: tuple[int | None, ...], found: Agreement, source: str
) -> dict[str, Any]:
    """Return the sheet of a file, all but its name and hashes.

    Args:
        predictor: the weights and their protocol.
        kind: name of the format.
        quantise: how it was quantised.
        shape: of its input; None where any size goes.
        found: how far its answers are from the model's.
        source: of the slices that were compared.
    """
    manifest = predictor.manifest
    about = ("name", "title", "sha256", "licence", "attribution", "citation", "source", "created", "lungzoo_version")
    return {
        "sheet_version": SHEET_VERSION,
        "format": kind,
        "quantised_to": quantise,
        "lungzoo_version": version("lungzoo"),
        "input": _input(predictor, shape),
        "outputs": _outputs(predictor, len(shape)),
        "averaged_over_mirror_images": predictor.protocol.flips,
        "postprocess": predictor.protocol.postprocess.model_dump(mode="json"),
        "compared": {
            "slices": source,
            "input_shapes": [list(each) for each in found.shapes],
            "max_difference_logits": found.logits,
            "max_difference_probability": found.probability,
            "allowed": None if quantise else f"{TOLERANCE:g} in probability, and of the largest logit",
        },
        "weights": {key: getattr(manifest, key) for key in about},
        "model": manifest.model.model_dump(mode="json"),
        "note": "For research; not a medical device.",
    }


def files_of(path: Path, names: list[Path]) -> list[dict[str, Any]]:
    """Return name, size and sha256 of files; of a folder, of all in it.

    Args:
        path: folder that the names are relative to.
        names: files and folders.
    """
    files = [file for name in names for file in (sorted(name.rglob("*")) if name.is_dir() else [name])]
    return [
        {
            "name": file.relative_to(path).as_posix(),
            "size_bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
        if file.is_file()
    ]


def _input(predictor: Predictor, shape: tuple[int | None, ...]) -> dict[str, Any]:
    data, model = predictor.protocol.data, predictor.manifest.model
    return {
        "name": INPUT,
        "dtype": "float32",
        "axes": list(AXES[len(shape)]),
        "shape": list(shape),
        "channels": _channels(predictor),
        "grey_8_bit": {"low": 0, "high": 255} if _takes_grey(data) else None,
        "slices": model.in_slices,
        "steps_before": list(data.preprocess),
        "spacing_mm": data.spacing_mm,
        "size_px": data.size_px,
        "recipe": "channel = clip(clip((slice - low) / (high - low), 0, 1) * scale + shift, 0, 1)",
    }


def _channels(predictor: Predictor) -> list[dict[str, Any]]:
    """Return what each channel is: of which slice, seen from the middle one, and which HU are 0 and 1."""
    ranges, statistics = ranges_of(predictor.protocol.data, "hu"), predictor.protocol.statistics
    windows = []
    for number, (low, high) in enumerate(ranges):
        scale, shift = 1.0, 0.0
        if statistics:
            scale = 1 / (2 * DEVIATIONS * statistics.deviation[number])
            shift = 0.5 - statistics.mean[number] * scale
        windows.append({"low": low, "high": high, "scale": scale, "shift": shift})
    if predictor.is_3d:
        return windows
    half = predictor.manifest.model.in_slices // 2
    return [{"slice": offset, **window} for offset in range(-half, half + 1) for window in windows]


def _takes_grey(data: DataConfig) -> bool:
    """Whether pictures of 8 bits go with the weights: those that were windowed as HU are by default."""
    return not data.windows and data.window_hu == DataConfig().window_hu


def _outputs(predictor: Predictor, axes: int) -> dict[str, Any]:
    model = predictor.manifest.model
    single = model.classes == 1
    outputs: dict[str, Any] = {
        "mask": {
            "axes": [*AXES[axes][:-1], "classes"],
            "values": "logits",
            "activation": "sigmoid" if single else "softmax",
            "lesion_probability": "of the only class" if single else "1 - that of class 0, the background",
            "threshold": predictor.protocol.threshold,
        }
    }
    if model.labels:
        outputs["label"] = {
            "axes": ["batch", "labels"],
            "values": "logits",
            "activation": "softmax",
            "labels": list(model.labels),
        }
    return outputs
