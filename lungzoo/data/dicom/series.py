"""One CT series as one volume in HU: every slice in its place, or a reason why not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.dicom.files import MAX_DICOM_BYTES, about, parse
from lungzoo.data.dicom.listing import FileInfo, why_not_ct
from lungzoo.data.dicom.pixels import MAX_VOXELS, padding_mask, read_format, stored_values
from lungzoo.data.dicom.planes import Plane, read_planes
from lungzoo.data.dicom.stack import stack_geometry
from lungzoo.data.geometry import Geometry, to_axial
from lungzoo.data.source_tree import READ_ERRORS, SourceTree
from lungzoo.errors import DatasetError

AIR_HU, MAX_HU = -1024, 3071


@dataclass(frozen=True)
class Series:
    """A CT series on its own grid, before it is turned to the patient's axes.

    Args:
        image: (Z, Y, X) int16 HU; Z grows along the normal of the slices.
        geometry: of `image`, indices (x, y, z) to LPS.
        slices: index along Z by SOPInstanceUID and frame.
        uid: SeriesInstanceUID.
        frame_uid: frame of reference.
        patient: patient id.
        notes: what was put right.
    """

    image: np.ndarray
    geometry: Geometry
    slices: dict[tuple[str, int], int]
    uid: str
    frame_uid: str
    patient: str
    notes: list[str] = field(default_factory=list)

    def turned(self, mask: np.ndarray, volume: str) -> tuple[np.ndarray, np.ndarray, VolumeInfo]:
        """Return image and mask with axes that grow to head, back and left, and what is known of the volume."""
        image, geometry = to_axial(self.image.transpose(2, 1, 0), self.geometry)
        bits, _ = to_axial(mask.transpose(2, 1, 0), self.geometry)
        info = VolumeInfo(volume, tuple(image.shape), geometry, self.geometry, self.uid)
        return np.ascontiguousarray(image), np.ascontiguousarray(bits), info


def read_series(tree: SourceTree, files: list[FileInfo]) -> Series:
    """Read the files of one series.

    Slices are ordered by position. Images of a localizer and exact copies of a slice are left out with a note; padding
    becomes −1024 HU, and values outside −1024 to 3071 are clipped with a note.

    Args:
        tree: source of the files.
        files: of one SeriesInstanceUID.

    Raises:
        DatasetError: the series is no CT, a file is damaged, or the slices do not make one regular grid.
    """
    reason = why_not_ct(files)
    if reason:
        raise DatasetError(f"{files[0].name}: {reason}")
    found: list[tuple[Plane, np.ndarray]] = []
    notes: list[str] = []
    clipped = voxels = 0
    for file in files:
        with about(file.name):
            planes, images, outside = _read_file(tree, file.name)
            voxels += sum(image.size for image in images)
            if voxels > MAX_VOXELS:
                raise DatasetError(f"the series has more than the {MAX_VOXELS:,} voxels allowed")
        if not planes:
            notes.append(f"{file.name}: left out, a localizer")
        found += zip(planes, images, strict=True)
        clipped += outside
    if not found:
        raise DatasetError("the series holds nothing but localizers")
    if clipped:
        notes.append(f"{clipped:,} voxels outside {AIR_HU} to {MAX_HU} HU were set to the nearer end")
    planes, images = _without_copies(found, notes)
    geometry = stack_geometry(planes)
    slices = {(plane.sop_uid, plane.frame): z for z, plane in enumerate(planes)}
    return Series(np.stack(images), geometry, slices, files[0].series_uid, files[0].frame_uid, files[0].patient, notes)


def _read_file(tree: SourceTree, name: str) -> tuple[list[Plane], list[np.ndarray], int]:
    """Return the planes of a file, their images in HU, and how many voxels were clipped."""
    try:
        dataset = parse(tree.read(name, MAX_DICOM_BYTES))
    except READ_ERRORS as error:
        raise DatasetError(str(error)) from None
    planes = read_planes(dataset, name)
    if not planes:
        return [], [], 0
    read_format(dataset)
    values = stored_values(dataset)
    padding = padding_mask(dataset, values)
    images, clipped = [], 0
    for plane in planes:
        with np.errstate(over="ignore"):
            hu = np.rint(values[plane.frame] * np.float64(plane.slope) + plane.intercept)
        if padding is not None:
            hu[padding[plane.frame]] = AIR_HU
        clipped += int(np.count_nonzero((hu < AIR_HU) | (hu > MAX_HU)))
        images.append(np.clip(hu, AIR_HU, MAX_HU).astype(np.int16))
    return planes, images, clipped


def _without_copies(found: list[tuple[Plane, np.ndarray]], notes: list[str]) -> tuple[list[Plane], list[np.ndarray]]:
    """Order by position and drop exact copies; two different images in one place are refused."""
    found = sorted(found, key=lambda pair: (pair[0].along_mm, pair[0].name))
    kept = [found[0]]
    for plane, image in found[1:]:
        last, other = kept[-1]
        if np.abs(np.subtract(plane.position_mm, last.position_mm)).max() > 0.01 or plane.shape_px != last.shape_px:
            kept.append((plane, image))
        elif np.array_equal(image, other):
            notes.append(f"{plane.name}: left out, a copy of {last.name}")
        else:
            raise DatasetError(f"{last.name} and {plane.name} lie in one place and differ; remove one of them")
    return [plane for plane, _ in kept], [image for _, image in kept]
