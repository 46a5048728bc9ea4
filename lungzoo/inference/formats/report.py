"""The lesions as JSON."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lungzoo.inference.inputs import Input
from lungzoo.inference.lesions import Lesion
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume

FORMAT_VERSION = 1
_UNITS = {
    "length": "mm",
    "volume": "mm3",
    "coordinates": "patient coordinates LPS (x to the left, y to the back, z to the head), mm",
    "slices": "axial, counted from 0 at the feet",
}


def check(found: Input, path: Path) -> None:
    """Any scan has lesions to list, or none."""


def write(path: Path, result: Result) -> None:
    """Write the list, and what it was made with."""
    path.write_text(
        json.dumps(report_of(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def report_of(result: Result) -> dict[str, Any]:
    """Return plain values; what is unknown is None."""
    volume, images = result.volume, _image_uids(result.volume)
    return {
        "format_version": FORMAT_VERSION,
        "source": str(result.source),
        "series_uid": (volume.info.series_uid if volume.info else "") or None,
        "shape_zyx": list(volume.shape_zyx),
        "spacing_mm_zyx": [value if math.isfinite(value) else None for value in volume.spacing_mm],
        "units": _UNITS,
        "made_with": {
            "lungzoo": version("lungzoo"),
            "weights": [{"name": each.name, "sha256": each.sha256} for each in result.weights],
            "threshold": result.threshold,
            "postprocess": result.postprocess.model_dump(mode="json"),
            "flips": result.flips,
        },
        "notes": list(volume.notes),
        "lesions": [_lesion(lesion, result, images) for lesion in result.lesions],
    }


def _lesion(lesion: Lesion, result: Result, images: dict[int, str]) -> dict[str, Any]:
    classes = dict(zip(result.labels, lesion.labels, strict=True)) if lesion.labels else {}
    return {
        "number": lesion.number,
        "volume_mm3": _known(lesion.volume_mm3),
        "longest_axial_diameter_mm": _known(lesion.longest_diameter_mm),
        "centroid_mm": None if lesion.centroid_mm is None else [round(value, 3) for value in lesion.centroid_mm],
        "centroid_zyx": [round(value, 3) for value in lesion.centroid_zyx],
        "slices": {
            "first": lesion.first_z,
            "last": lesion.last_z,
            "longest_diameter": lesion.longest_diameter_z,
            "longest_diameter_image_uid": images.get(lesion.longest_diameter_z),
        },
        "voxels": lesion.voxels,
        "probability": round(lesion.probability, 4),
        "class": max(classes, key=lambda name: classes[name]) if classes else None,
        "class_probabilities": {name: round(value, 4) for name, value in classes.items()} or None,
    }


def _image_uids(volume: Volume) -> dict[int, str]:
    """Return the SOPInstanceUID of each axial slice, where the slices of the source are axial."""
    if volume.dicom is None or volume.info is None or volume.info.source_geometry.code[2] not in "IS":
        return {}
    upwards, last = volume.info.source_geometry.code[2] == "S", volume.shape_zyx[0] - 1
    return {z if upwards else last - z: uid for (uid, _), z in volume.dicom.slices.items()}


def _known(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
