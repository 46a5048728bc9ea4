"""The volumes of a prepared dataset."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from lungzoo.data.store import PreparedDataset
from lungzoo.inference.inputs import Input, Reading
from lungzoo.inference.volume import Units, Volume


def is_mine(path: Path) -> bool:
    """Tell whether a folder is a prepared dataset."""
    return path.is_dir() and (path / "dataset.json").is_file()


def find(path: Path, reading: Reading) -> list[Input]:
    """Return the volumes of a dataset in the order of its cases; raises DatasetError where it is damaged."""
    dataset = PreparedDataset(path)
    return [
        Input(
            re.sub(r"[^\w.+-]+", "_", name), path, name in dataset.volumes, False, partial(read_volume, dataset, name)
        )
        for name in dict.fromkeys(dataset.cases["volume"].astype(str))
    ]


def read_volume(dataset: PreparedDataset, name: str) -> Volume:
    """Return the slices of a volume that the dataset holds, in the order of z."""
    cases = dataset.cases
    rows = np.flatnonzero(cases["volume"].to_numpy() == name)
    rows = rows[np.argsort(cases["z"].to_numpy()[rows], kind="stable")]
    z = cases["z"].to_numpy(int)[rows]
    info = dataset.volumes.get(name)
    image = np.asarray(dataset.images[rows])
    units: Units = "hu" if dataset.units == "hu" else "uint8"
    if info is None:
        z = z - z.min()
        spacing = cases[["spacing_z_mm", "spacing_y_mm", "spacing_x_mm"]].to_numpy(float)[rows[0]]
        spacing_mm = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        shape = (int(z.max()) + 1, image.shape[1], image.shape[2])
        return Volume(image, units, z, shape, spacing_mm)
    missing = info.shape_zyx[0] - len(z)
    notes = (f"{name}: {missing} of {info.shape_zyx[0]} slices are not in the dataset; their mask is empty",)
    return Volume(image, units, z, info.shape_zyx, info.geometry.spacing_mm, info, notes=notes if missing else ())
