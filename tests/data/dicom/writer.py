"""Writes small DICOM series, structure sets, segmentations and LIDC readings from arrays, in the true formats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def uid(name: str) -> str:
    """Return the same UID for the same name."""
    return generate_uid(entropy_srcs=[name])


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _common(sop_class: str, modality: str, name: str, patient: str, series: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid(f"{patient}/{series}/{name}")
    dataset.Modality = modality
    dataset.PatientID = patient
    dataset.PatientName = f"{patient}^"
    dataset.StudyInstanceUID = uid(f"{patient}/study")
    dataset.SeriesInstanceUID = uid(f"{patient}/{series}")
    dataset.FrameOfReferenceUID = uid(f"{patient}/frame")
    return dataset


def _pixels(dataset: Dataset, stored: np.ndarray, signed: bool = True) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()


def ct_slice(
    hu: np.ndarray,
    z_mm: float,
    patient: str = "P1",
    series: str = "ct",
    name: str = "",
    origin_mm: tuple[float, float] = (-10.0, -20.0),
    spacing_mm: tuple[float, float] = (0.5, 0.5),
    orientation: Sequence[float] = AXIAL,
) -> Dataset:
    """Return one CT image: `hu` (Y, X), stored with an intercept of −1000."""
    dataset = _common(CTImageStorage, "CT", name or f"{z_mm:g}", patient, series)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient = [*origin_mm, z_mm]
    dataset.ImageOrientationPatient = list(orientation)
    dataset.PixelSpacing = list(spacing_mm)
    dataset.SliceThickness = 2
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1000, "HU"
    _pixels(dataset, np.asarray(hu) + 1000)
    return dataset


def ct_series(hu: np.ndarray, z_mm: Iterable[float], patient: str = "P1", series: str = "ct") -> list[Dataset]:
    """Return one image per slice of `hu` (Z, Y, X)."""
    return [ct_slice(image, z, patient, series) for image, z in zip(hu, z_mm, strict=True)]


def save_series(slices: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write images as 1-001.dcm, 1-002.dcm, …"""
    return [save(image, folder / f"1-{number:03}.dcm") for number, image in enumerate(slices, 1)]


def enhanced_ct(hu: np.ndarray, z_mm: Sequence[float], patient: str = "P1", series: str = "ct") -> Dataset:
    """Return all slices as one multi-frame Enhanced CT."""
    dataset = _common(EnhancedCTImageStorage, "CT", "enhanced", patient, series)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames = len(hu)
    _pixels(dataset, np.asarray(hu) + 1000)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.5, 0.5], SliceThickness=2)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(AXIAL))]
    shared.PixelValueTransformationSequence = [_item(RescaleSlope=1, RescaleIntercept=-1000, RescaleType="HU")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=[-10, -20, z])]) for z in z_mm
    ]
    return dataset


def structure_set(
    regions: dict[str, list[np.ndarray]], patient: str = "P1", series: str = "ct", name: str = "rs"
) -> Dataset:
    """Return an RTSTRUCT; `regions` gives per name the contours, each (n, 3) in LPS mm."""
    dataset = _common(RTStructureSetStorage, "RTSTRUCT", name, patient, f"{series}-rs")
    referenced = _item(SeriesInstanceUID=uid(f"{patient}/{series}"))
    study = _item(ReferencedSOPInstanceUID=uid(f"{patient}/study"), RTReferencedSeriesSequence=[referenced])
    frame = _item(FrameOfReferenceUID=uid(f"{patient}/frame"), RTReferencedStudySequence=[study])
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = [
        _item(ROINumber=number, ROIName=region, ReferencedFrameOfReferenceUID=uid(f"{patient}/frame"))
        for number, region in enumerate(regions, 1)
    ]
    dataset.ROIContourSequence = [
        _item(ReferencedROINumber=number, ContourSequence=[contour(points) for points in contours])
        for number, contours in enumerate(regions.values(), 1)
    ]
    return dataset


def contour(points_mm: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    """Return one contour of (n, 3) points in LPS mm."""
    flat = [f"{value:.6g}" for value in np.asarray(points_mm, float).ravel()]
    return _item(ContourGeometricType=kind, NumberOfContourPoints=len(flat) // 3, ContourData=flat)


def segmentation(
    masks: dict[str, np.ndarray],
    z_mm: Sequence[float],
    patient: str = "P1",
    series: str = "ct",
    fractional_maximum: int = 0,
    with_positions: bool = True,
) -> Dataset:
    """Return a SEG; `masks` gives per label (Z, Y, X), 0 to 1; frames without a voxel are left out."""
    frames = [
        (number, z, mask[z]) for number, mask in enumerate(masks.values(), 1) for z in range(len(z_mm)) if mask[z].any()
    ]
    dataset = _common(SegmentationStorage, "SEG", "seg", patient, f"{series}-seg")
    dataset.ReferencedSeriesSequence = [_item(SeriesInstanceUID=uid(f"{patient}/{series}"))]
    dataset.SegmentSequence = [_item(SegmentNumber=n, SegmentLabel=label) for n, label in enumerate(masks, 1)]
    dataset.SegmentationType = "FRACTIONAL" if fractional_maximum else "BINARY"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.PixelRepresentation = len(frames), 0
    dataset.Rows, dataset.Columns = frames[0][2].shape
    stack = np.stack([image for _, _, image in frames])
    if fractional_maximum:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.MaximumFractionalValue, dataset.SegmentationFractionalType = fractional_maximum, "PROBABILITY"
        data = np.rint(stack * fractional_maximum).astype(np.uint8).tobytes()
    else:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        data = np.packbits(stack.ravel() > 0, bitorder="little").tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    shared = Dataset()
    if with_positions:
        shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.5, 0.5], SliceThickness=2)]
        shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(AXIAL))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _seg_frame(number, z_mm[z], patient, series, with_positions) for number, z, _ in frames
    ]
    return dataset


def _seg_frame(number: int, z_mm: float, patient: str, series: str, with_position: bool) -> Dataset:
    source = _item(ReferencedSOPInstanceUID=uid(f"{patient}/{series}/{z_mm:g}"))
    group = _item(
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
        DerivationImageSequence=[_item(SourceImageSequence=[source])],
    )
    if with_position:
        group.PlanePositionSequence = [_item(ImagePositionPatient=[-10, -20, z_mm])]
    return group


def lidc_xml(sessions: Sequence[Sequence[dict]], patient: str = "P1", series: str = "ct") -> str:
    """Return LIDC's XML; each session is a list of nodules.

    A nodule is {"malignancy": 4, "outlines": [(z_mm, [(x, y), …]) or (z_mm, [(x, y), …], "FALSE"), …]}; without
    "malignancy" it has no characteristics, as nodules below 3 mm do not.
    """
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<LidcReadMessage uid="1.3.6.1.4.1.14519.5.2.1" xmlns="http://www.nih.gov">',
        "<ResponseHeader><Version>1.8.1</Version><TaskDescription>Second unblinded read</TaskDescription>",
        f"<SeriesInstanceUid>{uid(f'{patient}/{series}')}</SeriesInstanceUid></ResponseHeader>",
    ]
    for session in sessions:
        parts.append("<readingSession><annotationVersion>3.12</annotationVersion>")
        parts += [_nodule_xml(number, nodule, patient, series) for number, nodule in enumerate(session, 1)]
        parts.append(
            "<nonNodule><nonNoduleID>99</nonNoduleID><imageZposition>0.0</imageZposition>"
            "<locus><xCoord>1</xCoord><yCoord>1</yCoord></locus></nonNodule></readingSession>"
        )
    return "\n".join([*parts, "</LidcReadMessage>"])


def _nodule_xml(number: int, nodule: dict, patient: str, series: str) -> str:
    traits = f"<malignancy>{nodule['malignancy']}</malignancy>" if "malignancy" in nodule else ""
    traits = f"<characteristics><subtlety>5</subtlety>{traits}</characteristics>" if traits else ""
    rois = []
    for z_mm, points, *inclusion in nodule["outlines"]:
        edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
        rois.append(
            f"<roi><imageZposition>{z_mm:.6f} </imageZposition>"
            f"<imageSOP_UID>{uid(f'{patient}/{series}/{z_mm:g}')}</imageSOP_UID>"
            f"<inclusion>{inclusion[0] if inclusion else 'TRUE'}</inclusion>{edges}</roi>"
        )
    name = f"<noduleID>Nodule {number:03}</noduleID>"
    return f"<unblindedReadNodule>{name}{traits}{''.join(rois)}</unblindedReadNodule>"


def _item(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
