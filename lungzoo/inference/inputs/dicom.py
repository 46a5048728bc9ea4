"""A CT series of a folder, an archive or a single DICOM file."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lungzoo.data.case import VolumeInfo
from lungzoo.data.dicom.files import HEAD_BYTES, looks_like_dicom
from lungzoo.data.dicom.listing import FileInfo, Listing, list_files, volume_names
from lungzoo.data.dicom.series import Series, read_series
from lungzoo.data.geometry import to_axial
from lungzoo.data.source_tree import MAX_FILE_BYTES, SourceTree, open_tree
from lungzoo.errors import DatasetError
from lungzoo.inference.inputs import Input, Reading
from lungzoo.inference.volume import DicomSource, Volume, safe_name, whole

LAYOUT = "a folder or zip of the DICOM files of a CT series"
_SHOWN = 10


def is_mine(path: Path) -> bool:
    """Tell whether a path may hold DICOM: any folder, archives, and files that begin as DICOM does."""
    if path.is_dir() or path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")):
        return True
    with path.open("rb") as file:
        return path.suffix.lower() in (".dcm", ".dicom", ".ima") or looks_like_dicom(file.read(HEAD_BYTES))


def find(path: Path, reading: Reading) -> list[Input]:
    """Return the chosen series.

    Raises:
        DatasetError: no CT, several series and none or another was chosen, or damaged files and no series was chosen.
    """
    lone = path.is_file() and not path.name.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2"))
    tree: SourceTree = _OneFile(path) if lone else open_tree(path, LAYOUT)
    listing = list_files(tree, patients_needed=False)
    if listing.faults and not reading.series:
        raise DatasetError(
            f"{path}: {len(listing.faults)} faulty DICOM file(s); nothing was predicted, since a slice may be among "
            f"them. Put them right, take them away, or name a series with --series:\n{_faults(listing)}"
        )
    files = _choose(path, listing, reading.series)
    return [Input(safe_name(path), path, True, True, lambda: _read(tree, files, _notes(listing)))]


def _others(listing: Listing) -> str:
    kinds = sorted({file.modality for files in listing.series.values() for file in files})
    if kinds:
        return f"its DICOM files are {', '.join(kinds)} alone"
    return f"none of its {len(listing.other)} file(s) is DICOM" if listing.other else "it is empty"


def _faults(listing: Listing) -> str:
    more = f"\n  … and {len(listing.faults) - _SHOWN} more" if len(listing.faults) > _SHOWN else ""
    return "\n".join(f"  {fault}" for fault in listing.faults[:_SHOWN]) + more


def _notes(listing: Listing) -> list[str]:
    """Say what was left out: a slice that is missing within a series is found later, one at its ends cannot be."""
    if not listing.faults:
        return []
    return [
        f"{len(listing.faults)} faulty DICOM file(s) left out; the first or last slice of this series may be among "
        f"them: {listing.faults[0]}{', …' if len(listing.faults) > 1 else ''}"
    ]


def _choose(path: Path, listing: Listing, wanted: str) -> list[FileInfo]:
    series, reasons = listing.ct()
    names = list(volume_names(series))
    if not names:
        held = "; ".join(reasons[:3]) or _others(listing)
        raise DatasetError(
            f"{path} holds no CT series: {held}. Give {LAYOUT}; NIfTI and other files by name, such as "
            f"{path.name}/*.nii.gz."
        )
    if wanted in series:
        return series[wanted]
    if wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return series[names[int(wanted) - 1]]
    if not wanted and len(names) == 1:
        return series[names[0]]
    lines = [f"  {number}: {_in_words(series[uid])}, {uid}" for number, uid in enumerate(names[:_SHOWN], 1)]
    lines += [f"  … and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    lines += ["Faulty files, left out:", _faults(listing)] if listing.faults else []
    what = f"has no CT series '{wanted}'" if wanted else f"holds {len(names)} CT series"
    raise DatasetError(f"{path} {what}. Choose one with --series and its number or UID:\n" + "\n".join(lines))


def _in_words(files: list[FileInfo]) -> str:
    slices = sum(file.frames for file in files)
    of = f" of {files[0].patient}" if files[0].patient else ""
    return f"{slices} slice(s){of} ({files[0].name})"


def _read(tree: SourceTree, files: list[FileInfo], notes: list[str]) -> Volume:
    series = read_series(tree, files)
    image, geometry = to_axial(series.image.transpose(2, 1, 0), series.geometry)
    image = np.ascontiguousarray(image)
    depth, height, width = image.shape
    info = VolumeInfo(series.patient, (depth, height, width), geometry, series.geometry, series.uid)
    return whole(image, "hu", info, _source(tree, files, series), (*notes, *series.notes))


def _source(tree: SourceTree, files: list[FileInfo], series: Series) -> DicomSource:
    """Return where the images of the slices are; of copies of a file the first."""
    slices = {uid for uid, _ in series.slices}
    kept: dict[str, FileInfo] = {}
    for file in files:
        if file.sop_uid in slices:
            kept.setdefault(file.sop_uid, file)
    return DicomSource(tree, list(kept.values()), series.slices, len(series.image))


class _OneFile:
    """A single file as a source of files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterable[str]:
        return [self._path.name]

    def head(self, name: str, count: int) -> bytes:
        with self._path.open("rb") as file:
            return file.read(count)

    def read(self, name: str, limit: int | None = None) -> bytes:
        with self._path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size > (limit or MAX_FILE_BYTES):
                raise ValueError(f"is {size:,} bytes large, more than the {limit or MAX_FILE_BYTES:,} allowed")
            file.seek(0)
            return file.read()

    def copy(self, name: str, target: BinaryIO) -> None:
        with self._path.open("rb") as file:
            shutil.copyfileobj(file, target)
