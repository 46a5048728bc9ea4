"""What DICOM files a source holds, by series; read from headers only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lungzoo.data.dicom.files import HEAD_BYTES, MAX_DICOM_BYTES, MAX_FRAMES, about, looks_like_dicom, parse
from lungzoo.data.dicom.values import integer, text
from lungzoo.data.natural import natural
from lungzoo.data.source_tree import READ_ERRORS, SourceTree
from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from pydicom import Dataset

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"
_MAX_US = 65_535
_SUFFIXES = (".dcm", ".dicom", ".ima")
_KEYWORDS = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "NumberOfFrames"),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns"),
)


@dataclass(frozen=True)
class FileInfo:
    """Where one DICOM file belongs.

    Args:
        name: of the file within its source.
        sop_class, sop_uid, study_uid, series_uid, frame_uid: DICOM's UIDs, "" where absent; `frame_uid` is the frame of
            reference.
        modality: such as "CT".
        patient: PatientID, made safe for names.
        frames: how many images it holds.
        voxels: of these images, as the header claims; 0 where it says nothing sound.
        size_bytes: of the file.
    """

    name: str
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    frame_uid: str
    modality: str
    patient: str
    frames: int
    voxels: int = 0
    size_bytes: int = 0


@dataclass
class Listing:
    """The DICOM files of a source.

    Args:
        series: files by SeriesInstanceUID, in the order of their names.
        faults: what is wrong with files that could not be placed.
        other: names of the files that are not DICOM.
    """

    series: dict[str, list[FileInfo]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def ct(self) -> tuple[dict[str, list[FileInfo]], list[str]]:
        """Return the CT series, and for each image series that is none why it is left out."""
        kept: dict[str, list[FileInfo]] = {}
        reasons = []
        for uid, files in self.series.items():
            reason = why_not_ct(files)
            if not reason:
                kept[uid] = files
            elif files[0].modality not in ("RTSTRUCT", "SEG"):
                reasons.append(f"{files[0].patient}: left out series {uid} ({files[0].name}): {reason}")
        return kept, reasons

    def of(self, modality: str) -> list[FileInfo]:
        """Return the files of a modality, such as "RTSTRUCT"."""
        return [file for files in self.series.values() for file in files if file.modality == modality]


def list_files(tree: SourceTree, patients_needed: bool = True) -> Listing:
    """Read the header of every DICOM file of a source; of other files no more than their first bytes.

    Args:
        tree: the source.
        patients_needed: a file without PatientID is at fault.
    """
    listing = Listing()
    for name in sorted(tree.names()):
        try:
            if not looks_like_dicom(tree.head(name, HEAD_BYTES)) and not name.lower().endswith(_SUFFIXES):
                listing.other.append(name)
                continue
            data = tree.read(name, MAX_DICOM_BYTES)
        except READ_ERRORS as error:
            listing.faults.append(f"{name}: {error}")
            continue
        try:
            with about(name):
                info = _identify(name, data, patients_needed)
        except DatasetError as error:
            listing.faults.append(str(error))
            continue
        if info is not None:
            listing.series.setdefault(info.series_uid, []).append(info)
    _check_patients(listing)
    return listing


def why_not_ct(files: list[FileInfo]) -> str:
    """Say why a series is not a CT volume, "" where it may be one."""
    for file in files:
        if file.sop_class.startswith(_SECONDARY_CAPTURE):
            return "secondary capture, a picture of a screen without HU"
        if file.modality != "CT":
            return f"its modality is '{file.modality}', expected CT"
        if file.sop_class not in CT_CLASSES:
            return f"its SOP class is {file.sop_class or 'absent'}, expected one of a CT image"
    return ""


def volume_names(series: dict[str, list[FileInfo]]) -> dict[str, str]:
    """Return a name for each series: "<patient>/ct", and "<patient>/ct-2" for a further one."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for uid in sorted(series, key=lambda uid: (natural(series[uid][0].patient), uid)):
        patient = series[uid][0].patient
        counts[patient] = counts.get(patient, 0) + 1
        names[uid] = f"{patient}/ct" + (f"-{counts[patient]}" if counts[patient] > 1 else "")
    return names


def _identify(name: str, data: bytes, patients_needed: bool) -> FileInfo | None:
    header = parse(data, with_pixels=False, keywords=_KEYWORDS)
    sop_class = text(header, "SOPClassUID")
    if not sop_class and _DIRECTORY.encode() in data[:1024]:
        return None
    patient = re.sub(r"[^\w.^+-]+", "_", text(header, "PatientID"))
    if not text(header, "SeriesInstanceUID"):
        raise DatasetError("has no SeriesInstanceUID")
    if patients_needed and not patient.strip("._"):
        raise DatasetError("has no PatientID; without it patients cannot be kept apart. Give each patient one")
    frames = integer(header, "NumberOfFrames", 1, MAX_FRAMES, default=1)
    return FileInfo(
        name,
        sop_class,
        text(header, "SOPInstanceUID"),
        text(header, "StudyInstanceUID"),
        text(header, "SeriesInstanceUID"),
        text(header, "FrameOfReferenceUID"),
        text(header, "Modality"),
        patient,
        frames,
        frames * _pixels(header),
        len(data),
    )


def _pixels(header: Dataset) -> int:
    """Return rows times columns, 0 where they are wrong: reading the file will say so."""
    try:
        return integer(header, "Rows", 1, _MAX_US) * integer(header, "Columns", 1, _MAX_US)
    except DatasetError:
        return 0


def _check_patients(listing: Listing) -> None:
    for uid, files in list(listing.series.items()):
        patients = sorted({file.patient for file in files})
        if len(patients) > 1:
            listing.faults.append(f"{files[0].name}: series {uid} has several patients: {', '.join(patients[:5])}")
            del listing.series[uid]
