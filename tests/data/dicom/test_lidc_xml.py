"""LIDC's readings: outlines just outside the nodule, holes, and files that are none."""

import numpy as np
import pytest

from lungzoo.data.dicom.lidc_xml import read_xml
from lungzoo.data.dicom.listing import list_files
from lungzoo.data.dicom.nodules import draw, match
from lungzoo.data.dicom.series import read_series
from lungzoo.errors import DatasetError

HEIGHTS = (100.0, 102.0, 104.0)


@pytest.fixture
def series(writer, tree_of):
    tree = tree_of(writer.ct_series(np.zeros((3, 12, 12)), HEIGHTS))
    (files,) = list_files(tree).series.values()
    return read_series(tree, files)


def ring(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    """Pixels around a box, in turn."""
    return [
        *((x, y0) for x in range(x0, x1)),
        *((x1, y) for y in range(y0, y1)),
        *((x, y1) for x in range(x1, x0, -1)),
        *((x0, y) for y in range(y1, y0, -1)),
    ]


def pixels(voxels: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(n) for n in np.unravel_index(voxel, (3, 12, 12))) for voxel in voxels]


def only(xml: str):
    (session,) = read_xml(xml.encode()).sessions
    (nodule,) = session
    return nodule


def test_the_outline_is_outside(writer, series):
    nodule = only(writer.lidc_xml([[{"malignancy": 4, "outlines": [(102.0, ring(2, 3, 5, 6))]}]]))
    assert nodule.malignancy == 4
    assert pixels(draw(nodule, 0, series).voxels) == [(1, y, x) for y in (4, 5) for x in (3, 4)]


def test_a_hole_takes_its_outline_too(writer, series):
    outlines = [(100.0, ring(1, 1, 9, 9)), (100.0, ring(3, 3, 6, 6), "FALSE")]
    drawn = draw(only(writer.lidc_xml([[{"outlines": outlines}]])), 0, series)
    assert len(drawn.voxels) == 7 * 7 - 4 * 4
    assert np.isnan(drawn.malignancy)


def test_small_nodules_and_non_nodules_are_ignored(writer):
    small = {"outlines": [(100.0, [(5, 5)])]}
    reading = read_xml(writer.lidc_xml([[small, {"outlines": [(102.0, ring(2, 2, 4, 4))]}], []]).encode())
    assert [len(session) for session in reading.sessions] == [1, 0]
    assert reading.small == 1
    assert reading.series_uid == writer.uid("P1/ct")


def test_a_slice_is_found_by_position_where_its_uid_is_unknown(writer, series):
    xml = writer.lidc_xml([[{"outlines": [(102.0, ring(2, 2, 4, 4))]}]])
    strange = xml.replace(writer.uid("P1/ct/102"), "1.2.3")
    assert pixels(draw(only(strange), 0, series).voxels) == [(1, 3, 3)]
    with pytest.raises(DatasetError, match=r"Nodule 001: lies on image 1\.2\.3 at 103 mm, which is not in the series"):
        draw(only(strange.replace("102.000000", "103.000000")), 0, series)
    with pytest.raises(DatasetError, match="says its image lies at 104 mm, but it lies at 102 mm"):
        draw(only(xml.replace("102.000000", "104.000000")), 0, series)


def test_an_outline_beyond_the_slice(writer, series):
    nodule = only(writer.lidc_xml([[{"outlines": [(102.0, ring(5, 5, 12, 9))]}]]))
    with pytest.raises(DatasetError, match="Nodule 001: an outline reaches beyond the slice, to x 12, y 9"):
        draw(nodule, 0, series)


def test_readers_mean_one_nodule_where_they_overlap(writer, series):
    boxes = [(1, 1, 4, 4), (2, 2, 6, 6), (4, 4, 8, 8), (8, 1, 11, 4), (2, 8, 2, 8)]
    sessions = [
        [{"malignancy": rating, "outlines": [(100.0, ring(*box))]}]
        for rating, box in zip((1, 2, 5, 4, 3), boxes, strict=True)
    ]
    sessions[4][0]["outlines"] = [(100.0, [(2, 8), (3, 8), (3, 9)])]  # encloses no pixel
    reading = read_xml(writer.lidc_xml(sessions).encode())
    drawn = [draw(nodule, reader, series) for reader, (nodule,) in enumerate(reading.sessions)]
    findings = match(drawn)
    # The first and the third do not touch, but both overlap the second.
    assert sorted([one.reader for one in finding.drawn] for finding in findings) == [[0, 1, 2], [3]]
    assert {finding.malignancy: finding.label for finding in findings} == {2: "benign", 4: "malignant"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</LidcReadMessage>", "", "is not sound XML: no element found"),
        ("LidcReadMessage", "Other", "is no LIDC reading: its root is <Other>, expected <LidcReadMessage>"),
        ("SeriesInstanceUid", "Nothing", "names no SeriesInstanceUid"),
        (">TRUE<", ">PERHAPS<", "nodule Nodule 001: inclusion is 'PERHAPS', expected TRUE or FALSE"),
        ("<xCoord>2<", "<xCoord>two<", "nodule Nodule 001: xCoord is 'two', expected a number"),
        ("<xCoord>2<", "<xCoord>-2<", "an outline has points that are no pixels"),
        ("<xCoord>2<", "<xCoord>1e9<", "an outline has points that are no pixels"),
        ("100.000000", "NaN", "imageZposition is 'NaN', expected a number"),
        ("<malignancy>3<", "<malignancy>9<", "malignancy is 9, expected 1 to 5"),
        (
            "<LidcReadMessage ",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><LidcReadMessage ",
            "declares a document type or entities",
        ),
    ],
)
def test_damaged(writer, old, new, words):
    xml = writer.lidc_xml([[{"malignancy": 3, "outlines": [(100.0, ring(2, 2, 4, 4))]}]])
    assert old in xml
    with pytest.raises(DatasetError, match=words):
        read_xml(xml.replace(old, new).encode())


def test_not_text_too_long_and_too_deep():
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read_xml("<LidcReadMessage/>".encode("utf-16"))
    with pytest.raises(DatasetError, match="bytes of XML, more than the 16,777,216 allowed"):
        read_xml(b" " * (16 * 2**20 + 1))
    with pytest.raises(DatasetError, match="is not sound XML"):
        read_xml(b"<a>" * 500_000)


def test_readings_of_chest_x_rays():
    assert read_xml(b'<IdriReadMessage xmlns="http://www.nih.gov"/>').series_uid == ""
