"""The mask as a DICOM segmentation (SEG) that refers to the images of its CT series."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.data.dicom.files import MAX_DICOM_BYTES, about, parse
from lungzoo.data.source_tree import READ_ERRORS
from lungzoo.errors import DatasetError, UsageError, missing_extra
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result
from lungzoo.inference.volume import DicomSource, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

    from lungzoo.data.dicom.listing import FileInfo

_LABEL = "Lung lesion"
_MAKER = "lungzoo"
# What every image must have but may leave empty (type 2), and what anonymising often takes away altogether.
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def check(found: Input, path: Path) -> None:
    """Raise UsageError for what is not DICOM, or where highdicom is missing."""
    if not found.is_dicom:
        raise UsageError(
            f"{found.source} is not DICOM, and a DICOM SEG refers to the images of a series. Allowed for "
            f"'{path.name}': a folder or zip of DICOM files; or write .nii.gz, .nrrd, .png or .json."
        )
    if find_spec("highdicom") is None:
        raise missing_extra("highdicom", "medical", "DICOM segmentations")


def check_volume(volume: Volume) -> None:
    """Refuse a series to whose slices a segmentation cannot refer.

    Raises:
        DatasetError: slices have no SOPInstanceUID of their own, so that masks would lie at other heights; or they are
            the frames of several files, where one segmentation refers to those of one.
    """
    dicom = volume.dicom
    assert dicom is not None
    if lost := dicom.depth - len(set(dicom.slices.values())):
        raise DatasetError(
            f"{lost} of {dicom.depth} slices have the SOPInstanceUID of another, so a DICOM SEG cannot refer "
            "to them. Write .nii.gz instead"
        )
    if len(dicom.files) > 1 and any(file.frames > 1 for file in dicom.files):
        raise DatasetError(
            f"its slices are the frames of {len(dicom.files)} files, and a DICOM SEG refers to those of one. Write "
            ".nii.gz instead"
        )


def write(path: Path, result: Result) -> None:
    """Write a binary segmentation with one segment; slices without lesion are left out, as is the custom.

    Raises:
        DatasetError: the images lack what a segmentation has to repeat of them, or share what tells them apart.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import generate_uid

    dicom = result.volume.dicom
    assert dicom is not None
    assert result.volume.info is not None
    try:
        check_volume(result.volume)
    except DatasetError as error:
        raise DatasetError(f"{result.source}: {error}") from None
    images = source_images(dicom, result.volume.info.source_geometry.spacing_mm[0])
    mask = planes(dicom, result.source_mask().transpose(2, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            segmentation = Segmentation(
                source_images=images,
                pixel_array=mask,
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=[_segment(result)],
                series_instance_uid=generate_uid(),
                series_number=_series_number(images[0]),
                sop_instance_uid=generate_uid(),
                instance_number=1,
                manufacturer=_MAKER,
                manufacturer_model_name=_short(result.weights[0].name),
                software_versions=version("lungzoo"),
                device_serial_number=result.weights[0].sha256[:16],
                series_description=_short(f"{_LABEL}, lungzoo"),
                content_description=_short(_LABEL),
                omit_empty_frames=bool(mask.any()),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{result.source}: a DICOM SEG cannot be made for this series: {error}. Write .nii.gz instead, or put "
                "the attribute right"
            ) from None
        segmentation.save_as(path)


def source_images(dicom: DicomSource, slice_mm: float) -> list[Dataset]:
    """Return the headers of a series' images in the order of its slices, without pixels; of one file with all, one.

    Args:
        dicom: where they are.
        slice_mm: distance of the slices, which stands in for a thickness that an image does not tell.
    """
    images = []
    for file in _in_order(dicom):
        try:
            data = dicom.tree.read(file.name, MAX_DICOM_BYTES)
        except READ_ERRORS as error:
            raise DatasetError(f"{file.name}: {error}") from None
        with about(file.name):
            image = parse(data, with_pixels=file.frames > 1)
        for keyword in _PIXELS:
            if keyword in image:
                delattr(image, keyword)
        for keyword in _MAY_BE_EMPTY:
            if keyword not in image:
                setattr(image, keyword, "")
        if file.frames == 1 and not image.get("SliceThickness"):
            image.SliceThickness = f"{slice_mm:.6g}"
        images.append(image)
    return images


def planes(dicom: DicomSource, mask: np.ndarray) -> np.ndarray:
    """Return a mask's slices as the frames of `source_images` follow each other, which in one file may be any order.

    Args:
        dicom: where the images are.
        mask: uint8 (Z, Y, X), Z as in `dicom.slices`.

    Returns:
        uint8 (frames, Y, X), empty where a frame is no slice, such as a localizer.
    """
    empty = np.zeros_like(mask[0])
    places = [dicom.slices.get((file.sop_uid, frame)) for file in _in_order(dicom) for frame in range(file.frames)]
    return np.stack([empty if z is None else mask[z] for z in places])


def _in_order(dicom: DicomSource) -> list[FileInfo]:
    """Return the files by the place of their lowest slice."""
    place = {uid: z for (uid, _), z in sorted(dicom.slices.items(), key=lambda item: -item[1])}
    return sorted(dicom.files, key=lambda file: place[file.sop_uid])


def _segment(result: Result) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    names = ", ".join(manifest.name for manifest in result.weights)
    return SegmentDescription(
        segment_number=1,
        segment_label=_LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=_short(f"{_MAKER}: {names}"), version=version("lungzoo"), family=codes.DCM.ArtificialIntelligence
        ),
    )


def _series_number(image: Dataset) -> int:
    number = str(image.get("SeriesNumber", "") or "")
    return 1000 + int(number) if re.fullmatch(r"\d{1,5}", number) else 1000


def _short(text: str) -> str:
    """DICOM's long strings have at most 64 characters."""
    return text if len(text) <= 64 else text[:63] + "…"
