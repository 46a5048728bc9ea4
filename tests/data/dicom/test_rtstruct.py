"""Contours of a structure set on the slices of its CT."""

import numpy as np
import pytest

from lungzoo.data.dicom.contours import shoelace_area
from lungzoo.data.dicom.listing import list_files
from lungzoo.data.dicom.rtstruct import Contour, contours_to_mask, read_contours, referenced_series
from lungzoo.data.dicom.series import read_series
from lungzoo.errors import DatasetError

HEIGHTS = (100.0, 102.0, 104.0)


@pytest.fixture
def series(writer, tree_of):
    """Pixels of 0.5 mm; the first has its centre at (−10, −20)."""
    tree = tree_of(writer.ct_series(np.zeros((3, 12, 16)), HEIGHTS))
    (files,) = list_files(tree).series.values()
    return read_series(tree, files)


def box(x0: float, y0: float, x1: float, y1: float, z_mm: float) -> np.ndarray:
    """Corners given in pixels."""
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return np.column_stack([corners * 0.5 + (-10, -20), np.full(4, z_mm)])


def test_a_box_on_one_slice(writer, series):
    dataset = writer.structure_set({"GTV-1": [box(2.5, 3.5, 6.5, 5.5, 102)], "Lung": [box(0, 0, 9, 9, 100)]})
    contours, notes = read_contours(dataset, "gtv-1")
    mask = contours_to_mask(contours, series)
    assert notes == []
    assert np.argwhere(mask).tolist() == [[1, y, x] for y in (4, 5) for x in (3, 4, 5, 6)]
    assert mask.sum() * 0.25 == shoelace_area(contours[0].points_mm[:, :2])


def test_holes_and_neighbours(writer, series):
    contours = [box(0.5, 0.5, 7.5, 7.5, 104), box(2.5, 2.5, 4.5, 4.5, 104), box(9.5, 0.5, 10.5, 1.5, 104)]
    mask = contours_to_mask(read_contours(writer.structure_set({"GTV-1": contours}), "GTV-1")[0], series)
    assert [int(image.sum()) for image in mask] == [0, 0, 49 - 4 + 1]


def test_regions_of_one_pattern_are_united(writer, series):
    dataset = writer.structure_set({"GTV-1": [box(0.5, 0.5, 4.5, 4.5, 100)], "gtv-2": [box(2.5, 2.5, 5.5, 5.5, 100)]})
    contours, _ = read_contours(dataset, "GTV-?")
    assert contours_to_mask(contours, series).sum() == 16 + 9 - 4


def test_regions_of_one_name_are_united(writer, series):
    """4×4 and 4×4 pixels that share 3×3 are 23, not the 14 of the even-odd rule; repeats count within a region."""
    squares = [box(0.5, 0.5, 4.5, 4.5, 100), box(1.5, 1.5, 5.5, 5.5, 100)]
    dataset = writer.structure_set({"GTV-1": squares[:1], "other": squares[1:]})
    dataset.StructureSetROISequence[1].ROIName = "GTV-1"
    contours, notes = read_contours(dataset, "GTV-1")
    assert [contour.roi_number for contour in contours] == [1, 2]
    assert notes == []
    assert contours_to_mask(contours, series).sum() == 16 + 16 - 9


def test_another_name(writer):
    dataset = writer.structure_set({"Lung-Left": [box(0, 0, 9, 9, 100)], "Cord": []})
    with pytest.raises(DatasetError, match=r"no region 'GTV-1'. It has: Cord, Lung-Left. Choose with: --set roi=NAME"):
        read_contours(dataset, "GTV-1")
    with pytest.raises(DatasetError, match="the region Cord has no closed contour"):
        read_contours(dataset, "cord")


def test_points_and_repeats_are_left_out(writer):
    dataset = writer.structure_set({"GTV-1": [box(0, 0, 9, 9, 100)] * 2 + [np.zeros((1, 3))]})
    dataset.ROIContourSequence[0].ContourSequence[2].ContourGeometricType = "POINT"
    contours, notes = read_contours(dataset, "GTV-1")
    assert len(contours) == 1
    assert notes == [
        "GTV-1, contour 2: left out, the same as an earlier one",
        "GTV-1, contour 3: left out, POINT with 1 point(s)",
    ]


@pytest.mark.parametrize(
    ("z_mm", "words"),
    [
        (101.0, r"GTV-1, contour 1: lies 1\.00 mm off the plane of the nearest slice; slices are 2 mm apart"),
        (102.3, r"lies 0\.30 mm off the plane"),
        (110.0, "GTV-1, contour 1: lies outside the volume, at slice 5 of 3"),
        (90.0, "outside the volume, at slice -5 of 3"),
    ],
)
def test_off_the_slices(writer, series, z_mm, words):
    contours, _ = read_contours(writer.structure_set({"GTV-1": [box(1, 1, 5, 5, z_mm)]}), "GTV-1")
    with pytest.raises(DatasetError, match=words):
        contours_to_mask(contours, series)


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ((1, 9, 5, 12.6), r"GTV-1, contour 1: lies outside the picture, from 9\.0 to 12\.6 of 12 rows"),
        ((1, -1.6, 5, 3), r"from -1\.6 to 3\.0 of 12 rows\. Was it drawn on another series\?"),
        ((12, 1, 16.6, 5), r"from 12\.0 to 16\.6 of 16 columns"),
        ((10_001, 1, 10_005, 5), r"from 10001\.0 to 10005\.0 of 16 columns"),
    ],
)
def test_beyond_the_picture(writer, series, corners, words):
    contours, _ = read_contours(writer.structure_set({"GTV-1": [box(*corners, 102)]}), "GTV-1")
    with pytest.raises(DatasetError, match=words):
        contours_to_mask(contours, series)


def test_a_pixel_beyond_the_edge_is_the_edge(writer, series):
    contours, _ = read_contours(writer.structure_set({"GTV-1": [box(-1.4, -1.4, 1.5, 1.5, 102)]}), "GTV-1")
    assert np.argwhere(contours_to_mask(contours, series)).tolist() == [[1, y, x] for y in (0, 1) for x in (0, 1)]


def test_rows_that_run_to_the_left_of_the_picture(writer, tree_of):
    """Pixel x lies at 10 − x/2 mm: a box from 3 to 5 mm holds the centres of pixels 11 to 13."""
    slices = [
        writer.ct_slice(np.zeros((12, 16)), z, origin_mm=(10.0, -20.0), orientation=(-1, 0, 0, 0, 1, 0))
        for z in HEIGHTS
    ]
    (files,) = list_files(tree_of(slices)).series.values()
    points = np.array([(3.25, -19.75, 102), (4.75, -19.75, 102), (4.75, -18.75, 102), (3.25, -18.75, 102)])
    contours, _ = read_contours(writer.structure_set({"GTV-1": [points]}), "GTV-1")
    mask = contours_to_mask(contours, read_series(tree_of(slices), files))
    assert np.argwhere(mask).tolist() == [[1, y, x] for y in (1, 2) for x in (11, 12, 13)]


def test_a_region_that_fills_no_pixel(writer, series):
    regions = {"GTV-1": [box(0.5, 0.5, 4.5, 4.5, 100)], "GTV-2": [box(2.1, 2.1, 2.4, 2.4, 100)]}
    contours, _ = read_contours(writer.structure_set(regions), "GTV-*")
    with pytest.raises(DatasetError, match="the region GTV-2 fills no pixel"):
        contours_to_mask(contours, series)


def test_a_contour_across_slices(writer, series):
    points = box(1, 1, 5, 5, 102)
    points[2:, 2] = 104
    contours, _ = read_contours(writer.structure_set({"GTV-1": [points]}), "GTV-1")
    with pytest.raises(DatasetError, match="off the plane"):
        contours_to_mask(contours, series)


def test_a_position_rounded_is_on_its_slice(writer, series):
    contours, _ = read_contours(writer.structure_set({"GTV-1": [box(0.5, 0.5, 2.5, 2.5, 102.04)]}), "GTV-1")
    assert contours_to_mask(contours, series)[1].sum() == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["1", "2"], "has 2 numbers, expected three for each"),
        (["1", "2", "nan"] * 3, "has points that are not finite"),
        (["1e300", "2", "3"] * 3, "has points that are not finite"),
        (["1", "2", "3"] * 5, "says it has 4 points and has 5"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_damaged_points(writer, tmp_path, data, words):
    from lungzoo.data.dicom.files import parse

    dataset = writer.structure_set({"GTV-1": [box(1, 1, 5, 5, 100)]})
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = data
    path = writer.save(dataset, tmp_path / "rs.dcm")
    with pytest.raises(DatasetError, match=f"GTV-1, contour 1: {words}"):
        read_contours(parse(path.read_bytes()), "GTV-1")


def test_contours_that_take_for_ever(writer, series, monkeypatch):
    monkeypatch.setattr("lungzoo.data.dicom.rtstruct._MAX_CROSSINGS", 5_000)
    points = np.tile(box(0, -1, 9, 12.4, 100)[[0, 2]], (200, 1))
    contours = [Contour("GTV-1", n, points) for n in range(2)]
    with pytest.raises(DatasetError, match=r"its contours cross 10,400 rows of pixels, more than the 5,000 allowed"):
        contours_to_mask(contours, series)


def test_references(writer):
    series, frames = referenced_series(writer.structure_set({"GTV-1": []}))
    assert series == {writer.uid("P1/ct")}
    assert frames == {writer.uid("P1/frame")}
