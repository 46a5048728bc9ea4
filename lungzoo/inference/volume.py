"""A scan that a model is to be run on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.dicom.listing import FileInfo
from lungzoo.data.source_tree import SourceTree

Units = Literal["hu", "uint8"]
UNKNOWN_MM = (float("nan"),) * 3


@dataclass(frozen=True)
class DicomSource:
    """Where the images of a CT series are.

    Args:
        tree: source of the files.
        files: of the series, one for each SOPInstanceUID.
        slices: index along the series' own z by SOPInstanceUID and frame.
        depth: how many slices the series has.
    """

    tree: SourceTree
    files: list[FileInfo]
    slices: dict[tuple[str, int], int]
    depth: int


@dataclass(frozen=True)
class Volume:
    """One scan, turned to the patient's axes.

    Args:
        image: (Z, Y, X) int16 in HU, or uint8; axes as in `Geometry`.
        units: "hu" or "uint8".
        z: index of each slice of `image` within the whole volume, rising; slices may be missing.
        shape_zyx: of the whole volume.
        spacing_mm: (z, y, x); NaN where unknown.
        info: its grid and the source's; None where the source has none.
        dicom: where its images are, for what refers to them; None where it is not DICOM.
        notes: what was put right on the way, for people.
    """

    image: np.ndarray
    units: Units
    z: np.ndarray
    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] = UNKNOWN_MM
    info: VolumeInfo | None = None
    dicom: DicomSource | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel; NaN where the spacing is unknown."""
        z, y, x = self.spacing_mm
        return z * y * x

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel of a slice; NaN where the spacing is unknown."""
        return self.spacing_mm[1] * self.spacing_mm[2]


def whole(
    image: np.ndarray, units: Units, info: VolumeInfo, dicom: DicomSource | None = None, notes: tuple[str, ...] = ()
) -> Volume:
    """Return a volume with a grid, none of whose slices is missing."""
    spacing = info.geometry.spacing_mm
    return Volume(image, units, np.arange(len(image)), info.shape_zyx, spacing, info, dicom, notes)


def safe_name(path: Path) -> str:
    """Return what files made from a path are called: its name without the endings of scans."""
    name = path.resolve().name
    for suffix in (".nii.gz", ".tar.gz", ".tgz", *_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


_SUFFIXES = (".nii", ".mhd", ".mha", ".nrrd", ".png", ".tif", ".tiff", ".npy", ".zip", ".tar", ".dcm")
