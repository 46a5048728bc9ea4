"""What one slice is called and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lungzoo.data.geometry import Geometry


@dataclass(frozen=True)
class Case:
    """One CT slice.

    Args:
        case: name, unique within the dataset.
        patient: patient id; slices of one patient never fall into two splits.
        volume: scan or nodule that consecutive slices belong to.
        z: index of the slice within its volume.
        spacing_mm: (z, y, x) distance between voxel centres in mm; NaN where unknown.
        label: class of the slice, such as a Lung-RADS class; "" where unknown.
        readers: bit n is set where reader n drew on this slice or could have (bit 0 for one reader).
        source: file the slice came from.
        extra: further columns, the same for every case of a dataset.
    """

    case: str
    patient: str
    volume: str
    z: int
    spacing_mm: tuple[float, float, float] = (float("nan"),) * 3
    label: str = ""
    readers: int = 1
    source: str = ""
    extra: dict[str, float | int | str] = field(default_factory=dict)

    def row(self) -> dict[str, object]:
        """Return the flat row that `cases.parquet` keeps."""
        values = asdict(self)
        extra = values.pop("extra")
        spacing = values.pop("spacing_mm")
        return {
            **values,
            "spacing_z_mm": spacing[0],
            "spacing_y_mm": spacing[1],
            "spacing_x_mm": spacing[2],
            **extra,
        }


@dataclass(frozen=True)
class VolumeInfo:
    """What is known of the volume that slices come from.

    Args:
        volume: its name, as in `Case.volume`.
        shape_zyx: its size, with the slices that were not taken.
        geometry: its grid, (z, y, x) growing to the head, the back and the left.
        source_geometry: the grid as the source had it.
        series_uid: DICOM's SeriesInstanceUID, "" without one.
    """

    volume: str
    shape_zyx: tuple[int, int, int]
    geometry: Geometry
    source_geometry: Geometry
    series_uid: str = ""

    def row(self) -> dict[str, object]:
        """Return the flat row that `volumes.parquet` keeps."""
        return {
            "volume": self.volume,
            **{f"size_{axis}": side for axis, side in zip("zyx", self.shape_zyx, strict=True)},
            **_numbers("affine", self.geometry),
            **_numbers("source_affine", self.source_geometry),
            "series_uid": self.series_uid,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> VolumeInfo:
        """Undo `row`."""
        return cls(
            str(row["volume"]),
            (int(row["size_z"]), int(row["size_y"]), int(row["size_x"])),
            _grid("affine", row),
            _grid("source_affine", row),
            str(row["series_uid"]),
        )


def _numbers(name: str, geometry: Geometry) -> dict[str, float]:
    return {f"{name}_{r}{c}": geometry.affine[r][c] for r in range(3) for c in range(4)}


def _grid(name: str, row: Mapping[str, Any]) -> Geometry:
    return Geometry.from_matrix(np.array([[row[f"{name}_{r}{c}"] for c in range(4)] for r in range(3)]))


@dataclass(frozen=True)
class Slice:
    """One slice on its way into a dataset.

    Args:
        image: (H, W).
        mask: (H, W) uint8, bit n is set where reader n drew.
        case: what is known of it.
        volume: what is known of its volume, where the source is volumes with a grid.
    """

    image: np.ndarray
    mask: np.ndarray
    case: Case
    volume: VolumeInfo | None = None
