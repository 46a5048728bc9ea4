"""What a prepared dataset holds, in numbers: plain values for JSON, tables and the data sheet."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.data.store import PreparedDataset

if TYPE_CHECKING:
    import pandas as pd

MIN_READERS = 2
# Edges of Lung-RADS and of common size tables; the last bin is open.
BINS = {"mm": (0, 4, 6, 8, 10, 15, 20, 30), "px": (0, 4, 8, 12, 16, 24, 32, 64)}
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
UNLABELLED = "unlabelled"
# Columns of some readers whose values are worth counting.
_COUNTED = ("published_split", "lung_mask")


def summarise(dataset: PreparedDataset) -> dict[str, Any]:
    """Describe a dataset; reads the masks in chunks, so that memory stays flat.

    A lesion is what two readers agree on, or all of them where the dataset has fewer. Its size is the
    diameter of a circle of the same area on that slice.

    Returns:
        JSON-able values. `lesion_volume` is that of whole volumes, and empty where no grid is known;
        `slices_with_lesion`, `slices_disputed` (drawn by too few readers) and
        `slices_empty` add up to `slices`. Lesions are measured in mm where the spacing is known and in
        pixels where not: `lesion_diameter` has an entry for each unit in use. `columns` counts slices by the values of
        columns that only some readers make, and `notes` is what the import noted.
    """
    cases = dataset.cases
    area_px, disputed = dataset.lesion_px(MIN_READERS), dataset.disputed(MIN_READERS)
    return {
        "name": dataset.name,
        **{key: dataset.info.get(key, "") for key in ("reader", "title", "licence")},
        "units": dataset.units,
        "shape": list(dataset.images.shape),
        "patients": int(cases["patient"].nunique()),
        "patients_known": dataset.patients_known,
        "volumes": int(cases["volume"].nunique()),
        "slices": len(dataset),
        "slices_with_lesion": int((area_px > 0).sum()),
        "slices_disputed": int(disputed.sum()),
        "slices_empty": int(((area_px == 0) & ~disputed).sum()),
        "spacing": _spacing(dataset),
        "labels": _labels(dataset),
        "lesion_diameter": _lesion_diameters(dataset, area_px),
        "lesion_volume": _lesion_volumes(dataset, area_px),
        "readers": _readers(dataset),
        "columns": {name: _counts(cases[name]) for name in _COUNTED if name in cases},
        "notes": [str(note) for note in dataset.info.get("notes", [])],
        "fingerprint": dataset.fingerprint,
    }


def _spacing(dataset: PreparedDataset) -> dict[str, Any]:
    """Smallest and largest spacing along each axis, None where it is nowhere known."""
    spacing = dataset.cases[["spacing_z_mm", "spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
    known = np.isfinite(spacing)
    ranges: dict[str, Any] = {}
    for axis, column, has in zip("zyx", spacing.T, known.T, strict=True):
        ranges[f"{axis}_mm"] = [float(column[has].min()), float(column[has].max())] if has.any() else None
    return {**ranges, "slices_unknown": int((~known.all(axis=1)).sum())}


def _labels(dataset: PreparedDataset) -> dict[str, dict[str, int]]:
    """Slices and patients per label; a patient counts once under each label that any slice has."""
    labels = dataset.cases["label"].replace("", UNLABELLED)
    groups = dataset.cases.groupby(labels)["patient"]
    return {
        str(label): {"slices": int(patients.size), "patients": int(patients.nunique())} for label, patients in groups
    }


def _lesion_diameters(dataset: PreparedDataset, area_px: np.ndarray) -> dict[str, Any]:
    pixel_mm2 = (dataset.cases["spacing_y_mm"] * dataset.cases["spacing_x_mm"]).to_numpy(float)
    lesion, known = area_px > 0, np.isfinite(pixel_mm2)
    sizes = {
        "mm": _diameter(area_px[lesion & known] * pixel_mm2[lesion & known]),
        "px": _diameter(area_px[lesion & ~known]),
    }
    return {unit: _distribution(values, BINS[unit]) for unit, values in sizes.items() if len(values)}


def _lesion_volumes(dataset: PreparedDataset, area_px: np.ndarray) -> dict[str, Any]:
    """Lesion volume of each volume whose grid is known and that has a lesion, in cm³."""
    cases = dataset.cases
    voxel_cm3 = cases[["spacing_z_mm", "spacing_y_mm", "spacing_x_mm"]].prod(axis=1, skipna=False) / 1000
    per_volume = (voxel_cm3 * area_px).groupby(cases["volume"].to_numpy()).sum()
    found = per_volume[per_volume.index.isin(list(dataset.volumes)) & (per_volume > 0)].to_numpy()
    if not len(found):
        return {}
    percentiles = np.percentile(found, PERCENTILES)
    return {
        "volumes": len(found),
        "percentiles_cm3": {str(p): round(float(v), 3) for p, v in zip(PERCENTILES, percentiles, strict=True)},
    }


def _counts(column: pd.Series) -> dict[str, int]:
    return {str(value) or "–": int(count) for value, count in column.value_counts().sort_index().items()}


def _diameter(area: np.ndarray) -> np.ndarray:
    return 2 * np.sqrt(area / np.pi)


def _distribution(values: np.ndarray, edges: tuple[int, ...]) -> dict[str, Any]:
    counts, _ = np.histogram(values, [*edges, np.inf])
    names = [f"{low}-{high}" for low, high in pairwise(edges)] + [f"{edges[-1]}+"]
    percentiles = np.percentile(values, PERCENTILES)
    return {
        "slices": len(values),
        "percentiles": {str(p): round(float(v), 2) for p, v in zip(PERCENTILES, percentiles, strict=True)},
        "histogram": {name: int(count) for name, count in zip(names, counts, strict=True)},
    }


def _readers(dataset: PreparedDataset) -> dict[str, Any]:
    """Slices on which each reader drew or could have, and slices by the number of such readers."""
    bits = dataset.cases["readers"].to_numpy(np.uint8)
    by_number = np.bincount(np.bitwise_count(bits), minlength=len(dataset.mask_bits) + 1)
    return {
        "slices_by_reader": {name: int(((bits >> bit) & 1).sum()) for bit, name in enumerate(dataset.mask_bits)},
        "slices_by_number": {str(number): int(count) for number, count in enumerate(by_number)},
    }
