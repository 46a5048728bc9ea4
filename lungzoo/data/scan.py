"""A whole volume on its way into a dataset, and the slices that are taken of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from lungzoo.data.case import Case, Slice, VolumeInfo
from lungzoo.errors import ConfigError

_CHOICE = re.compile(r"all|lesion(?:\+(\d{1,4}))?")


@dataclass(frozen=True)
class Scan:
    """One volume with its masks.

    Args:
        image: (Z, Y, X) int16 in HU, or uint8; axes as in `Geometry`.
        mask: (Z, Y, X) uint8, bit n is set where reader n drew.
        info: its name, grid and source grid.
        patient: patient id.
        label: class of the volume's lesion, "" where unknown.
        readers: bit n is set where reader n drew or could have.
        source: file or folder it came from.
        extra: further columns, the same for every case of a dataset.
        labels: label of single slices by z, where it is not `label`.
        slice_extra: extra columns of single slices by z, where they are not `extra`.
    """

    image: np.ndarray
    mask: np.ndarray
    info: VolumeInfo
    patient: str
    label: str = ""
    readers: int = 1
    source: str = ""
    extra: Mapping[str, float | int | str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    slice_extra: Mapping[int, Mapping[str, float | int | str]] = field(default_factory=dict)


def check_choice(choice: str) -> None:
    """Raise ConfigError unless `choice` says which slices of a volume are taken."""
    if not _CHOICE.fullmatch(choice):
        raise ConfigError(
            f"slices must say which slices of a volume are taken. Received: '{choice}'. Allowed: all, lesion (those "
            "that cut one), lesion+N (and N on either side)."
        )


def slices_of(scan: Scan, choice: str = "all") -> Iterator[Slice]:
    """Yield slices of a volume, feet to head.

    Args:
        scan: the volume.
        choice: "all", "lesion" (those that cut a lesion) or "lesion+N" (and N on either side).
    """
    check_choice(choice)
    wanted = np.ones(len(scan.image), bool)
    if choice != "all":
        margin = int(choice.partition("+")[2] or 0)
        cut = np.flatnonzero(scan.mask.any(axis=(1, 2)))
        wanted[:] = False
        for z in cut:
            wanted[max(z - margin, 0) : z + margin + 1] = True
    for z in np.flatnonzero(wanted):
        case = Case(
            case=f"{scan.info.volume}/{z:04d}",
            patient=scan.patient,
            volume=scan.info.volume,
            z=int(z),
            spacing_mm=scan.info.geometry.spacing_mm,
            label=scan.labels.get(int(z), scan.label),
            readers=scan.readers,
            source=scan.source,
            extra={**scan.extra, **scan.slice_extra.get(int(z), {})},
        )
        yield Slice(scan.image[z], scan.mask[z], case, scan.info)
