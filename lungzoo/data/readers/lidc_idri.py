"""LIDC-IDRI as The Cancer Imaging Archive publishes it: CT series, and XML with what four radiologists drew."""

from __future__ import annotations

import hashlib

import numpy as np

from lungzoo.data.dicom.files import about
from lungzoo.data.dicom.lidc_xml import Reading, read_xml
from lungzoo.data.dicom.listing import FileInfo, Listing
from lungzoo.data.dicom.nodules import Finding, draw, match
from lungzoo.data.dicom.reader import DicomReader
from lungzoo.data.dicom.series import Series
from lungzoo.data.geometry import Geometry
from lungzoo.data.readers import READERS, Entry
from lungzoo.data.scan import Scan
from lungzoo.errors import DatasetError

READER_COUNT = 4
_UNKNOWN: dict[str, float | int | str] = {
    "malignancy": float("nan"),
    "malignancy_readers": "",
    "volume_cm3": float("nan"),
    "nodules": 0,
}


@READERS.register("lidc-idri")
class LidcIdriReader(DicomReader):
    """Reads CT series with the nodules of 3 mm or more that up to four radiologists outlined.

    Files may lie at any depth of a folder or zip; an XML belongs to the series that it names. Nodules of several
    readers are one where they overlap. The label of a slice is that of its most suspicious nodule, from the
    readers' median malignancy: "benign" up to 2, "malignant" from 4, "indeterminate" between, "" where unknown.
    Extra columns, of that nodule: `malignancy` (median, 1 to 5), `malignancy_readers`, `volume_cm3` (median of the
    readers); and `nodules` on the slice.

    Args:
        source: folder or zip file.

    Raises:
        DatasetError: the source is missing, is not a sound zip, or holds no CT with readings.
    """

    title = "LIDC-IDRI"
    licence = "CC-BY-3.0"
    citation = (
        "Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative "
        "(IDRI), Medical Physics 38(2), 2011, doi:10.1118/1.3528204; data doi:10.7937/K9/TCIA.2015.LO9QL9SX"
    )
    mask_bits: tuple[str, ...] = tuple(f"reader-{n}" for n in range(READER_COUNT))
    layout = "a folder or zip of DICOM files and XML: CT series, and for each the readings that name it"

    def drawn_on(self, listing: Listing, ct: dict[str, list[FileInfo]]) -> dict[str, list[str]]:
        """See `DicomReader.drawn_on`."""
        drawn: dict[str, list[str]] = {}
        seen: set[tuple[str, bytes]] = set()
        elsewhere = 0
        for name in listing.other:
            if not name.lower().endswith(".xml"):
                continue
            try:
                data = self.load(name)
                with about(name):
                    uid = read_xml(data).series_uid
            except DatasetError as error:
                self.faults.append(str(error))
                continue
            key = (uid, hashlib.sha256(data).digest())
            if uid not in ct:
                elsewhere += 1
            elif key not in seen:
                seen.add(key)
                drawn.setdefault(uid, []).append(name)
        if elsewhere:
            self.notes.append(f"{elsewhere} XML file(s) left out: of chest X-rays, or of series that are not here")
        return drawn

    def check_drawn(self, names: list[str]) -> None:
        """See `DicomReader.check_drawn`."""
        self._reading(names)

    def _reading(self, names: list[str]) -> Reading:
        if len(names) > 1:
            raise DatasetError(f"has {len(names)} different XML files: {', '.join(names)}. Keep one of them")
        with about(names[0]):
            reading = read_xml(self.load(names[0]))
            if len(reading.sessions) > READER_COUNT:
                raise DatasetError(f"has {len(reading.sessions)} reading sessions, expected up to {READER_COUNT}")
        return reading

    def scan_of(self, entry: Entry, series: Series, names: list[str]) -> Scan:
        """See `DicomReader.scan_of`."""
        reading = self._reading(names)
        with about(names[0]):
            drawn = [
                draw(nodule, reader, series) for reader, session in enumerate(reading.sessions) for nodule in session
            ]
        hollow = sum(not len(one.voxels) for one in drawn)
        if hollow:
            self.notes.append(f"{entry.volume}: {hollow} outline(s) enclose no pixel and leave no mask")
        mask = np.zeros(series.image.shape, np.uint8)
        for one in drawn:
            mask.reshape(-1)[one.voxels] |= np.uint8(1 << one.reader)
        image, bits, info = series.turned(mask, entry.volume)
        labels, extra = _by_slice(match(drawn), series, info.geometry)
        readers = (1 << len(reading.sessions)) - 1
        return Scan(
            *(image, bits, info, entry.patient),
            readers=readers,
            source=names[0],
            extra=_UNKNOWN,
            labels=labels,
            slice_extra=extra,
        )


def _by_slice(
    findings: list[Finding], series: Series, geometry: Geometry
) -> tuple[dict[int, str], dict[int, dict[str, float | int | str]]]:
    """Return label and extra columns of each slice with a nodule, those of the most suspicious one."""
    labels: dict[int, str] = {}
    extra: dict[int, dict[str, float | int | str]] = {}
    voxel_cm3 = float(np.prod(series.geometry.spacing_mm)) / 1000
    for finding in sorted(findings, key=lambda finding: np.nan_to_num(finding.malignancy)):
        index = np.column_stack(np.unravel_index(finding.voxels, series.image.shape))
        turned = np.rint(geometry.to_index(series.geometry.to_mm(index))[:, 0]).astype(int)
        given = [f"{one.malignancy:g}" for one in finding.drawn if not np.isnan(one.malignancy)]
        for z in np.unique(turned).tolist():
            labels[z] = finding.label
            extra[z] = {
                "malignancy": finding.malignancy,
                "malignancy_readers": "|".join(given),
                "volume_cm3": float(np.median([len(one.voxels) for one in finding.drawn])) * voxel_cm3,
                "nodules": int(extra.get(z, _UNKNOWN)["nodules"]) + 1,
            }
    return labels, extra
