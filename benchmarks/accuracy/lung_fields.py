"""How much of the lesions lies in the lung fields that `--lungs` looks at, and how far the fields grow for it.

    lungzoo data phantom volumes --patients 12 --slices 40 --size 256
    python benchmarks/accuracy/lung_fields.py --data volumes

Compared are the fields as thresholds and shapes find them, closed by discs, part by part, and dilated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from lungzoo.data.store import PreparedDataset
from lungzoo.inference.inputs.dataset import read_volume
from lungzoo.inference.postprocess import find_lungs


def main() -> None:
    """Print a line for each way: means over volumes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared dataset with whole volumes")
    parser.add_argument("--closing-mm", type=float, nargs="*", default=[15.0, 25.0, 40.0])
    parser.add_argument("--dilation-mm", type=float, nargs="*", default=[5.0, 10.0])
    arguments = parser.parse_args()
    ways = [(0.0, 0.0), *((mm, 0.0) for mm in arguments.closing_mm), *((0.0, mm) for mm in arguments.dilation_mm)]
    figures = np.array([look(PreparedDataset(arguments.data), name, ways) for name in volumes(arguments.data)])
    print(f"{len(figures)} volumes")
    for (closing, dilation), (inside, growth) in zip(ways, np.nanmean(figures, axis=0), strict=True):
        way = f"closed by {closing:g} mm, dilated by {dilation:g} mm"
        print(f"{way:34} {inside:.3f} of the lesions' voxels inside, fields {growth:.3f} times as large")


def volumes(data: Path) -> list[str]:
    cases = PreparedDataset(data).cases["volume"].astype(str)
    return list(dict.fromkeys(cases))


def look(dataset: PreparedDataset, name: str, ways: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return for each way the share of lesion voxels that is inside, NaN without any, and the growth of the fields."""
    rows = np.flatnonzero(dataset.cases["volume"].to_numpy(str) == name)
    rows = rows[np.argsort(dataset.cases["z"].to_numpy()[rows], kind="stable")]
    scan = read_volume(dataset, name)
    lesion = dataset.consensus(rows, 1) > 0
    figures = []
    for closing_mm, dilation_mm in ways:
        field = find_lungs(scan.image, scan.spacing_mm, closing_mm)
        field = dilated(field, scan.spacing_mm[1:], dilation_mm) if dilation_mm else field
        figures.append((float(field[lesion].mean()) if lesion.any() else float("nan"), float(field.sum())))
    return [(inside, size / figures[0][1]) for inside, size in figures]


def dilated(field: np.ndarray, spacing_yx_mm: tuple[float, float], radius_mm: float) -> np.ndarray:
    """Grow the field in each slice."""
    grown = field.copy()
    for z in np.flatnonzero(field.any(axis=(1, 2))):
        grown[z] = distance_transform_edt(~field[z], spacing_yx_mm) <= radius_mm
    return grown


if __name__ == "__main__":
    main()
