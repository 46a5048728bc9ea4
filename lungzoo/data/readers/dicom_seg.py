"""Any CT series with DICOM segmentations (SEG)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from lungzoo.data.dicom import seg
from lungzoo.data.dicom.files import about, parse
from lungzoo.data.dicom.listing import FileInfo, Listing
from lungzoo.data.dicom.reader import DicomReader, one_mask_scan
from lungzoo.data.dicom.series import Series
from lungzoo.data.readers import READERS, Entry
from lungzoo.data.scan import Scan
from lungzoo.schema import Option


@READERS.register("dicom-seg")
class DicomSegReader(DicomReader):
    """Reads CT series with the segments of their SEG files, united into one mask.

    Extra column: `volume_cm3` of the mask.

    Args:
        source: folder or zip file.
        options: `segment`, label of the segments with `*` and `?`, "" for the only one; `slices`.

    Raises:
        DatasetError: the source is missing, is not a sound zip, or holds no CT with a segmentation.
    """

    title = "CT with DICOM SEG"
    licence = "that of the source"
    citation = "that of the source"
    options: ClassVar[Mapping[str, Option]] = {**DicomReader.options, "segment": ""}
    reads = ("SEG",)
    layout = "a folder or zip of DICOM files: CT series, and SEG files made on them"

    def drawn_on(self, listing: Listing, ct: dict[str, list[FileInfo]]) -> dict[str, list[str]]:
        """See `DicomReader.drawn_on`."""
        keywords = ("ReferencedSeriesSequence", "FrameOfReferenceUID")
        return self.match(listing.of("SEG"), ct, keywords, seg.referenced_series)

    def check_drawn(self, names: list[str]) -> None:
        """See `DicomReader.check_drawn`: each file needs a segment of the name."""
        for name in names:
            with about(name):
                keywords = ("SpecificCharacterSet", "SegmentSequence")
                dataset = parse(self.load(name), with_pixels=False, keywords=keywords)
                seg.choose_segments(dataset, str(self.settings["segment"]))

    def scan_of(self, entry: Entry, series: Series, names: list[str]) -> Scan:
        """See `DicomReader.scan_of`."""
        mask = np.zeros(series.image.shape, bool)
        for name in names:
            with about(name):
                mask |= seg.seg_to_mask(parse(self.load(name)), series, str(self.settings["segment"]))
        return one_mask_scan(entry, series, mask, names[0])
