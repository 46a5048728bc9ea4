"""What the readers of DICOM sources share: CT series, each with what was drawn on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import numpy as np

from lungzoo.data.dicom.files import MAX_DICOM_BYTES, about, parse
from lungzoo.data.dicom.listing import FileInfo, Listing, list_files, volume_names, why_not_ct
from lungzoo.data.dicom.series import Series, read_series
from lungzoo.data.readers import Entry, ScanReader
from lungzoo.data.scan import Scan
from lungzoo.data.source_tree import READ_ERRORS, open_tree
from lungzoo.errors import DatasetError

References = tuple[set[str], set[str]]
# Which reader reads what was drawn in files of these modalities.
_READ_BY = {"RTSTRUCT": "nsclc-radiomics", "SEG": "dicom-seg"}


class DicomReader(ScanReader):
    """Reads CT series with masks from a folder or zip of DICOM files.

    Subclasses say which files were drawn on which series, and turn them into a mask.

    Attributes:
        layout: what a source looks like, for messages.
        reads: modalities of the files that masks are read from.
    """

    layout: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()

    def list_entries(self) -> list[Entry]:
        """See `ScanReader.list_entries`; an entry's files are the CT's and those that were drawn on it."""
        self.tree = open_tree(self.source, self.layout)
        listing = list_files(self.tree)
        self.faults += listing.faults
        self._series = listing.series
        ct, left_out = listing.ct()
        self.notes += left_out
        drawn = self.drawn_on(listing, ct)
        entries = []
        for uid, name in volume_names(ct).items():
            files = ct[uid]
            if drawn.get(uid):
                slices = sum(file.frames for file in files)
                entries.append(Entry(name, files[0].patient, slices, (files, drawn[uid])))
            else:
                self.notes.append(
                    f"{name}: left out, {self._why_not(listing, files[0])} (series {uid}, {files[0].name})"
                )
        if not entries and not self.faults:
            reasons = "; ".join(self.notes[:3]) or f"no DICOM files among {len(listing.other)} files"
            raise DatasetError(f"{self.source} holds no CT with masks: {reasons}. Expected {self.layout}.")
        return entries

    def _why_not(self, listing: Listing, ct: FileInfo) -> str:
        """Say why a series has no mask, and which reader would read what there is."""
        for modality, reader in _READ_BY.items():
            there = [file.name for file in listing.of(modality) if file.patient == ct.patient]
            if there and modality not in self.reads:
                return f"its patient has an {modality}, {there[0]}, which this reader does not read; use {reader}"
        return "nothing was drawn on it"

    @abstractmethod
    def drawn_on(self, listing: Listing, ct: dict[str, list[FileInfo]]) -> dict[str, list[str]]:
        """Return names of the files that were drawn on each CT series; adds to `self.faults` and `self.notes`."""

    @abstractmethod
    def scan_of(self, entry: Entry, series: Series, names: list[str]) -> Scan:
        """Turn a series and what was drawn on it into a scan; raises DatasetError."""

    @abstractmethod
    def check_drawn(self, names: list[str]) -> None:
        """Raise DatasetError for what is wrong with files that were drawn on one series, as their headers tell."""

    @cached_property
    def foreseen(self) -> list[str]:
        """See `Reader.foreseen`."""
        faults = list(self.faults)
        for entry in self.entries:
            try:
                self.check_drawn(entry.files[1])
            except DatasetError as error:
                faults.append(f"{self.file_of(entry)}: {error}")
        return faults

    def read(self, entry: Entry) -> Scan:
        """See `ScanReader.read`."""
        files, names = entry.files
        series = read_series(self.tree, files)
        scan = self.scan_of(entry, series, names)
        self.notes += [f"{entry.volume}: {note}" for note in series.notes]
        return scan

    def load(self, name: str) -> bytes:
        """Return the bytes of a file; raises DatasetError, which names it."""
        try:
            return self.tree.read(name, MAX_DICOM_BYTES)
        except READ_ERRORS as error:
            raise DatasetError(f"{name}: {error}") from None

    def match(
        self,
        files: list[FileInfo],
        ct: dict[str, list[FileInfo]],
        keywords: tuple[str, ...],
        references: Callable[..., References],
    ) -> dict[str, list[str]]:
        """Return names of `files` by the CT series that each refers to, or whose frame of reference it alone shares."""
        matched: dict[str, list[str]] = {}
        for file in files:
            try:
                with about(file.name):
                    series, frames = references(parse(self.load(file.name), with_pixels=False, keywords=keywords))
                    uid = _the_one(series, frames, file, ct, self._series)
            except DatasetError as error:
                self.faults.append(str(error))
            else:
                matched.setdefault(uid, []).append(file.name)
        return matched


def one_mask_scan(entry: Entry, series: Series, mask: np.ndarray, source: str) -> Scan:
    """Return a scan whose mask has a single bit; its volume in cm³ is an extra column."""
    z_mm, y_mm, x_mm = series.geometry.spacing_mm
    image, bits, info = series.turned(mask.view(np.uint8), entry.volume)
    volume_cm3 = float(np.count_nonzero(mask)) * z_mm * y_mm * x_mm / 1000
    return Scan(image, bits, info, entry.patient, source=source, extra={"volume_cm3": volume_cm3})


def _the_one(
    series: set[str],
    frames: set[str],
    file: FileInfo,
    ct: dict[str, list[FileInfo]],
    known: dict[str, list[FileInfo]],
) -> str:
    named = sorted(series & set(ct))
    if len(named) > 1:
        raise DatasetError(f"refers to {len(named)} CT series: {', '.join(named)}")
    if named:
        return named[0]
    if series:
        uid = min(series, key=lambda uid: (uid not in known, uid))
        why = why_not_ct(known[uid]) if uid in known else "there is none of that name in the source"
        raise DatasetError(f"refers to series {uid}, which is no CT series of this source: {why}")
    shared = [
        uid for uid, files in ct.items() if files[0].patient == file.patient and files[0].frame_uid in frames - {""}
    ]
    if len(shared) != 1:
        raise DatasetError(f"names no series, and {len(shared)} CT series share its patient and frame of reference")
    return shared[0]
