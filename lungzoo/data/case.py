"""What one slice is called and what is known of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np


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
class Slice:
    """One slice on its way into a dataset: image `(H, W)`, mask bits `(H, W)` uint8, and its case."""

    image: np.ndarray
    mask: np.ndarray
    case: Case
