"""Segmentations on the grid of their CT."""

import numpy as np
import pytest

from lungzoo.data.dicom.files import parse
from lungzoo.data.dicom.listing import list_files
from lungzoo.data.dicom.seg import choose_segments, referenced_series, seg_to_mask
from lungzoo.data.dicom.series import read_series
from lungzoo.errors import DatasetError

HEIGHTS = (100.0, 102.0, 104.0)
SHAPE = (3, 5, 7)  # 35 pixels: frames do not end on a byte


@pytest.fixture
def series(writer, tree_of):
    tree = tree_of(writer.ct_series(np.zeros(SHAPE), HEIGHTS))
    (files,) = list_files(tree).series.values()
    return read_series(tree, files)


@pytest.fixture
def reread(writer, tmp_path):
    return lambda dataset: parse(writer.save(dataset, tmp_path / "seg.dcm").read_bytes())


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, 1, 2:5] = mask[2, 3:, 6] = 1
    return mask


@pytest.mark.parametrize("with_positions", [True, False])
def test_binary(writer, series, reread, mask, with_positions):
    dataset = reread(writer.segmentation({"Nodule": mask}, HEIGHTS, with_positions=with_positions))
    assert dataset.NumberOfFrames == 2
    np.testing.assert_array_equal(seg_to_mask(dataset, series), mask)


def test_fractional_counts_from_a_half(writer, series, reread):
    shares = np.zeros(SHAPE)
    shares[1, 2, :4] = 0.2, 0.49, 0.5, 1
    dataset = reread(writer.segmentation({"Nodule": shares}, HEIGHTS, fractional_maximum=200))
    assert np.argwhere(seg_to_mask(dataset, series)).tolist() == [[1, 2, 2], [1, 2, 3]]


def test_a_segment_without_pixels(writer, series, reread, mask):
    dataset = reread(writer.segmentation({"Lung": mask, "Nodule": mask}, HEIGHTS, fractional_maximum=200))
    dataset.PixelData = bytes(len(dataset.PixelData))
    with pytest.raises(DatasetError, match="the segment Nodule has no pixel: its frames are empty"):
        seg_to_mask(dataset, series, "nodule")


def test_label_map(writer, series, reread, mask):
    dataset = writer.segmentation({"Lung": mask, "Nodule": mask}, HEIGHTS, fractional_maximum=1)
    dataset.SegmentationType = "LABELMAP"
    values = np.zeros((4, *SHAPE[1:]), np.uint8)
    values[0, 0, 0], values[1, 0, 1] = 1, 2
    dataset.PixelData = values.tobytes()
    assert np.argwhere(seg_to_mask(reread(dataset), series, "nodule")).tolist() == [[2, 0, 1]]


def test_which_segment(writer, series, reread, mask):
    dataset = reread(writer.segmentation({"Lung": 1 - mask, "Nodule 1": mask, "Nodule 2": mask[::-1]}, HEIGHTS))
    np.testing.assert_array_equal(seg_to_mask(dataset, series, "nodule 1"), mask)
    np.testing.assert_array_equal(seg_to_mask(dataset, series, "Nodule*"), mask | mask[::-1])
    with pytest.raises(DatasetError, match=r"has 3 segments: Lung, Nodule 1, Nodule 2. Choose with: --set segment="):
        choose_segments(dataset, "")
    with pytest.raises(DatasetError, match=r"has no segment 'Heart'\. It has: Lung, Nodule 1, Nodule 2"):
        choose_segments(dataset, "Heart")


def test_cropped_and_flipped_frames(writer, series, reread, mask):
    dataset = writer.segmentation({"Nodule": mask[:1, 1:, :1:-1]}, HEIGHTS[:1])
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [-7, -19.5, 100]
    plane = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    found = seg_to_mask(reread(dataset), series)
    np.testing.assert_array_equal(found[0], mask[0])


@pytest.mark.parametrize(
    ("position", "spacing", "words"),
    [
        ([-10, -20, 101], [0.5, 0.5], r"frame 1 lies off the CT's grid by 0\.50 of a voxel"),
        ([-9.8, -20, 100], [0.5, 0.5], r"lies off the CT's grid by 0\.40 of a voxel"),
        ([-10, -20, 90], [0.5, 0.5], "frame 1 lies outside the CT"),
        ([-10, -20, 100], [1.0, 1.0], "frame 1 has pixels of 1 by 1 mm, its CT 0.5 by 0.5; resample"),
        ([-10, -20, 100], [0.0, 0.5], "PixelSpacing is 0, 0.5 mm"),
    ],
)
def test_frames_that_do_not_fit(writer, series, reread, mask, position, spacing, words):
    dataset = writer.segmentation({"Nodule": mask}, HEIGHTS)
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = position
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = spacing
    with pytest.raises(DatasetError, match=words):
        seg_to_mask(reread(dataset), series)


def test_frames_without_a_place(writer, series, reread, mask):
    dataset = writer.segmentation({"Nodule": mask}, HEIGHTS, series="other", with_positions=False)
    with pytest.raises(DatasetError, match="frame 1 has no position, and names no image of its CT as its source"):
        seg_to_mask(reread(dataset), series)


def test_counts_and_kinds(writer, series, reread, mask):
    dataset = writer.segmentation({"Nodule": mask}, HEIGHTS)
    dataset.NumberOfFrames = 3
    with pytest.raises(DatasetError, match="says it has 3 frames and describes 2"):
        seg_to_mask(reread(dataset), series)
    dataset.NumberOfFrames, dataset.PixelData = 2, b"\0" * 8
    with pytest.raises(DatasetError, match="cut off: 8 bytes, but 2×5×7 pixels of 1 bits need 9"):
        seg_to_mask(reread(dataset), series)
    dataset.SegmentationType = "SURFACE"
    with pytest.raises(DatasetError, match="SegmentationType is 'SURFACE', expected one of BINARY"):
        seg_to_mask(reread(dataset), series)


def test_references(writer, mask):
    series, frames = referenced_series(writer.segmentation({"Nodule": mask}, HEIGHTS))
    assert series == {writer.uid("P1/ct")}
    assert frames == {writer.uid("P1/frame")}


def test_what_highdicom_writes(writer, series, tree_of, reread, mask):
    hd = pytest.importorskip("highdicom")
    from pydicom.sr.coding import Code

    images = writer.ct_series(np.zeros(SHAPE), HEIGHTS)
    for number, image in enumerate(images):
        tree_of([image])
        image.StudyID = image.AccessionNumber = image.StudyDate = image.StudyTime = ""
        image.PatientBirthDate = image.PatientSex = ""
        image.InstanceNumber = number
    lung, nodule = Code("39607008", "SCT", "Lung"), Code("27925004", "SCT", "Nodule")
    segment = hd.seg.SegmentDescription(
        1, "Nodule", nodule, nodule, hd.seg.SegmentAlgorithmTypeValues.MANUAL, anatomic_regions=[lung]
    )
    dataset = hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=writer.uid("seg"),
        series_number=2,
        sop_instance_uid=writer.uid("seg/1"),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    )
    np.testing.assert_array_equal(seg_to_mask(reread(dataset), series), mask)
