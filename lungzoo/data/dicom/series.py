"""One CT series as one volume in HU: every slice in its place, or a reason why not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.dicom.files import MAX_DICOM_BYTES, about, parse
from lungzoo.data.dicom.listing import FileInfo, why_not_ct
from lungzoo.data.dicom.pixels import MAX_VOXELS, padding_range, read_format, stored_frames
from lungzoo.data.dicom.planes import Plane, read_planes
from lungzoo.data.dicom.stack import check_alike, stack_geometry
from lungzoo.data.geometry import Geometry, to_axial
from lungzoo.data.source_tree import FREE_BYTES, MAX_RATIO, READ_ERRORS, SourceTree
from lungzoo.errors import DatasetError

AIR_HU, MAX_HU = -1024, 3071
_VOXEL_BYTES = 2
_SAME_PLACE_MM = 0.01


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
    _check_claims(files)
    stack = _Stack(sum(file.frames for file in files))
    notes: list[str] = []
    for file in files:
        with about(file.name):
            if not _read_file(tree, file.name, stack):
                notes.append(f"{file.name}: left out, a localizer")
    if not stack.planes:
        raise DatasetError("the series holds nothing but localizers")
    if stack.clipped:
        notes.append(f"{stack.clipped:,} voxels outside {AIR_HU} to {MAX_HU} HU were set to the nearer end")
    planes, image = _ordered(stack, notes)
    geometry = stack_geometry(planes)
    slices = {(plane.sop_uid, plane.frame): z for z, plane in enumerate(planes)}
    return Series(image, geometry, slices, files[0].series_uid, files[0].frame_uid, files[0].patient, notes)


class _Stack:
    """Slices as they are read, in one array that is made when the size of the first is known.

    Args:
        count: how many there may be.

    Attributes:
        planes: what is known of each slice.
        clipped: voxels that were.
    """

    def __init__(self, count: int) -> None:
        self.planes: list[Plane] = []
        self.clipped = 0
        self.images = np.empty((0, 0, 0), np.int16)
        self._count = count

    def add(self, plane: Plane, hu: np.ndarray) -> None:
        """Add a slice; of one that has another size than the first only what is known, for the message."""
        if not self.planes:
            self.images = _empty((self._count, *plane.shape_px))
        if len(self.planes) == self._count:
            raise DatasetError("holds more frames than when the source was listed")
        if plane.shape_px == self.images.shape[1:]:
            self.images[len(self.planes)] = hu
        self.planes.append(plane)


def _check_claims(files: list[FileInfo]) -> None:
    """Refuse what does not fit, or what so few bytes cannot be meant to hold, before any pixel is read."""
    voxels, size_bytes = sum(file.voxels for file in files), sum(file.size_bytes for file in files)
    if voxels > MAX_VOXELS:
        raise DatasetError(f"the series claims {voxels:,} voxels, more than the {MAX_VOXELS:,} allowed")
    if voxels * _VOXEL_BYTES > size_bytes * MAX_RATIO + FREE_BYTES:
        raise DatasetError(
            f"the series claims {voxels:,} voxels, {voxels * _VOXEL_BYTES:,} bytes, in files of {size_bytes:,} bytes "
            f"together; at most {MAX_RATIO} times that and {FREE_BYTES:,} more are taken"
        )


def _empty(shape_zyx: tuple[int, int, int]) -> np.ndarray:
    size_bytes = math.prod(shape_zyx) * _VOXEL_BYTES
    if size_bytes > MAX_VOXELS * _VOXEL_BYTES:
        raise DatasetError(f"the series has more than the {MAX_VOXELS:,} voxels allowed")
    try:
        return np.empty(shape_zyx, np.int16)
    except MemoryError:
        raise DatasetError(f"the series needs {size_bytes:,} bytes of memory, and there are fewer") from None


def _read_file(tree: SourceTree, name: str, stack: _Stack) -> bool:
    """Add the slices of a file in HU; False where it is a localizer."""
    try:
        dataset = parse(tree.read(name, MAX_DICOM_BYTES))
    except READ_ERRORS as error:
        raise DatasetError(str(error)) from None
    planes = {plane.frame: plane for plane in read_planes(dataset, name)}
    if not planes:
        return False
    pixels = read_format(dataset)
    padding = padding_range(dataset, pixels)
    for frame, values in enumerate(stored_frames(dataset, pixels)):
        plane = planes.get(frame)
        if plane is None:
            continue
        with np.errstate(over="ignore"):
            hu = np.rint(values * np.float64(plane.slope) + plane.intercept)
        if padding is not None:
            hu[(values >= padding[0]) & (values <= padding[1])] = AIR_HU
        stack.clipped += int(np.count_nonzero((hu < AIR_HU) | (hu > MAX_HU)))
        stack.add(plane, np.clip(hu, AIR_HU, MAX_HU, out=hu))
    return True


def _ordered(stack: _Stack, notes: list[str]) -> tuple[list[Plane], np.ndarray]:
    """Order by position and drop exact copies; two different images in one place are refused."""
    planes, images = stack.planes, stack.images
    order = sorted(range(len(planes)), key=lambda n: (planes[n].along_mm, planes[n].name))
    check_alike([planes[n] for n in order])
    kept, copies = [order[0]], []
    for n in order[1:]:
        plane, last = planes[n], planes[kept[-1]]
        if np.abs(np.subtract(plane.position_mm, last.position_mm)).max() > _SAME_PLACE_MM:
            kept.append(n)
        elif np.array_equal(images[n], images[kept[-1]]):
            copies.append(n)
            notes.append(f"{plane.name}: left out, a copy of {last.name}")
        else:
            raise DatasetError(f"{last.name} and {plane.name} lie in one place and differ; remove one of them")
    arrange(images, kept + copies)
    return [planes[n] for n in kept], images[: len(kept)]


def arrange(images: np.ndarray, order: list[int]) -> None:
    """Put images[order[z]] at z for each z, in place: a second volume would double the memory.

    Args:
        images: at least as many as `order` is long.
        order: 0, 1, 2, … in some order.
    """
    waiting = [n != z for z, n in enumerate(order)]
    for start in range(len(order)):
        if not waiting[start]:
            continue
        first, z = images[start].copy(), start
        while order[z] != start:
            images[z] = images[order[z]]
            waiting[z], z = False, order[z]
        images[z], waiting[z] = first, False
