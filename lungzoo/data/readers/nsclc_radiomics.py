"""NSCLC-Radiomics (LUNG1): CT series with the gross tumour volume in a structure set or segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lungzoo.data.dicom import rtstruct, seg
from lungzoo.data.dicom.files import about, parse
from lungzoo.data.dicom.listing import FileInfo, Listing
from lungzoo.data.dicom.reader import DicomReader, one_mask_scan
from lungzoo.data.dicom.series import Series
from lungzoo.data.readers import READERS, Entry
from lungzoo.data.scan import Scan
from lungzoo.errors import DatasetError
from lungzoo.schema import Option


@READERS.register("nsclc-radiomics")
class NsclcRadiomicsReader(DicomReader):
    """Reads CT series with a region of their RTSTRUCT, or where they have none, of their SEG.

    Files may lie at any depth of a folder or zip; what belongs together is read from their headers. Any other source of
    CT with RTSTRUCT reads as well. Extra column: `volume_cm3` of the region.

    Args:
        source: folder or zip file.
        options: `roi`, name of the region with `*` and `?` ("GTV-1"); `slices`.

    Raises:
        DatasetError: the source is missing, is not a sound zip, or holds no CT with a structure set.
    """

    title = "NSCLC-Radiomics"
    licence = "CC-BY-NC-3.0"
    citation = (
        "Aerts et al., Data From NSCLC-Radiomics, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.PF0M9REI; "
        "Decoding tumour phenotype by noninvasive imaging using a quantitative radiomics approach, "
        "Nature Communications 5, 2014, doi:10.1038/ncomms5006"
    )
    options: ClassVar[Mapping[str, Option]] = {**DicomReader.options, "roi": "GTV-1"}
    reads = ("RTSTRUCT", "SEG")
    layout = "a folder or zip of DICOM files: CT series, and for each an RTSTRUCT or SEG"

    def drawn_on(self, listing: Listing, ct: dict[str, list[FileInfo]]) -> dict[str, list[str]]:
        """See `DicomReader.drawn_on`."""
        structures = self.match(
            listing.of("RTSTRUCT"),
            ct,
            ("ReferencedFrameOfReferenceSequence", "StructureSetROISequence"),
            rtstruct.referenced_series,
        )
        segmentations = self.match(
            listing.of("SEG"), ct, ("ReferencedSeriesSequence", "FrameOfReferenceUID"), seg.referenced_series
        )
        return {**segmentations, **structures}

    def check_drawn(self, names: list[str]) -> None:
        """See `DicomReader.check_drawn`: there has to be one file, with a region of the name."""
        if len(names) > 1:
            raise DatasetError(
                f"has {len(names)} structure sets or segmentations: {', '.join(names)}. Keep one of them"
            )
        with about(names[0]):
            keywords = ("SpecificCharacterSet", "StructureSetROISequence", "SegmentSequence")
            dataset = parse(self.load(names[0]), with_pixels=False, keywords=keywords)
            choose = seg.choose_segments if "SegmentSequence" in dataset else rtstruct.choose_regions
            choose(dataset, str(self.settings["roi"]))

    def scan_of(self, entry: Entry, series: Series, names: list[str]) -> Scan:
        """See `DicomReader.scan_of`."""
        self.check_drawn(names)
        with about(names[0]):
            dataset = parse(self.load(names[0]))
            pattern = str(self.settings["roi"])
            if "SegmentSequence" in dataset:
                mask = seg.seg_to_mask(dataset, series, pattern)
            else:
                contours, notes = rtstruct.read_contours(dataset, pattern)
                mask = rtstruct.contours_to_mask(contours, series)
                self.notes += [f"{entry.volume}: {note}" for note in notes]
        return one_mask_scan(entry, series, mask, names[0])
