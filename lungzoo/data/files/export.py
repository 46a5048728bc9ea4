"""Gives a volume of a prepared dataset back on the grid that its source had."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.files.write import write_whole, writer_of
from lungzoo.data.geometry import from_axial
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import DatasetError, UsageError, did_you_mean


def export_volume(
    dataset: PreparedDataset,
    volume: str,
    path: Path | str,
    what: Literal["image", "mask"] = "image",
    min_readers: int = 1,
    force: bool = False,
) -> Path:
    """Write an image or a mask on its source's grid: same size, same affine, voxel for voxel.

    An image needs every slice of the volume. Slices that were not imported have an empty mask.

    Args:
        dataset: where it is.
        volume: its name, as in the column `volume`.
        path: file to make: .nii, .nii.gz, .mha or .nrrd.
        what: "image" (int16 HU or uint8, as the dataset has it) or "mask" (uint8 {0, 1}).
        min_readers: a voxel is lesion where at least so many readers drew it.
        force: replace an existing file.

    Returns:
        The path.

    Raises:
        UsageError: no such volume or kind of file, more readers than there are, or the file exists.
        DatasetError: the grid of the volume is not known, or its image lacks slices.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    write = writer_of(path)
    if what == "mask" and min_readers > (readers := len(dataset.mask_bits)):
        raise UsageError(
            f"'{dataset.name}' has {readers} reader(s) who drew, {', '.join(dataset.mask_bits)}, so no voxel has "
            f"more. Received: min_readers = {min_readers}. Allowed: 1 to {readers}."
        )
    info, rows, z = _find(dataset, volume)
    if what == "image":
        _check_complete(info, z)
        voxels = np.empty(info.shape_zyx, dataset.images.dtype)
    else:
        voxels = np.zeros(info.shape_zyx, np.uint8)
    for row, index in zip(rows, z, strict=True):
        voxels[index] = dataset.images[row] if what == "image" else dataset.consensus(np.array([row]), min_readers)[0]
    turned = from_axial(voxels, info.source_geometry.code)
    write_whole(path, force, lambda partial: write(partial, turned, info.source_geometry))
    return path


def _find(dataset: PreparedDataset, volume: str) -> tuple[VolumeInfo, np.ndarray, np.ndarray]:
    """Return what is known of a volume, its rows in the dataset, and their z."""
    cases = dataset.cases
    rows = np.flatnonzero(cases["volume"].to_numpy() == volume)
    if not len(rows):
        names = cases["volume"].unique().tolist()
        raise UsageError(
            f"{dataset.path} has no volume '{volume}'.{did_you_mean(volume, names)} It has {len(names)}, such as "
            f"{', '.join(names[:3])}; they are in the column 'volume' of cases.parquet."
        )
    if volume not in dataset.volumes:
        raise DatasetError(
            f"The grid of '{volume}' is not known: it came from {cases['source'].iloc[rows[0]]}, which has none. Only "
            "volumes from files with a grid, such as DICOM, NIfTI and MetaImage, can be given back."
        )
    info, z = dataset.volumes[volume], cases["z"].to_numpy()[rows]
    depth, height, width = info.shape_zyx
    if dataset.images.shape[1:] != (height, width) or z.min() < 0 or z.max() >= depth:
        raise DatasetError(
            f"The slices of '{volume}' do not fit its grid of {info.shape_zyx}. Import the dataset again."
        )
    return info, rows, z


def _check_complete(info: VolumeInfo, z: np.ndarray) -> None:
    missing = sorted(set(range(info.shape_zyx[0])) - set(z.tolist()))
    if missing:
        raise DatasetError(
            f"'{info.volume}' lacks {len(missing)} of its {info.shape_zyx[0]} slices (z {_ranges(missing)}), so "
            "its image cannot be given back. Import it with slices=all, or export its mask."
        )


def _ranges(numbers: list[int]) -> str:
    """Say [0, 1, 2, 7] as "0-2, 7"."""
    cuts = [i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1]
    runs = [numbers[a:b] for a, b in zip([0, *cuts], [*cuts, len(numbers)], strict=True)]
    said = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ", ".join(said[:6]) + (", …" if len(said) > 6 else "")
