"""What is written is read back by other programs onto the very grid of the source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from lungzoo.errors import DatasetError, UsageError
from lungzoo.inference.formats import format_of, write_output
from lungzoo.inference.formats.overlay import choose_slices, outline, sheet
from lungzoo.inference.inputs import Input, Reading, find_inputs
from lungzoo.inference.outputs import plan_outputs
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.predict import Settings, predict_scan
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume

NODULES = [((22.3, 30.4, 24.1), 11.0), ((50.0, 41.0, 38.2), 17.0)]


@pytest.fixture
def nodules(draw_balls: Callable[..., np.ndarray]) -> np.ndarray:
    """HU of two nodules in lung, on a grid of 0.75 × 0.75 × 2 mm."""
    inside = draw_balls((34, 90, 80), (2.0, 0.75, 0.75), NODULES)
    return np.where(inside, 60, -850).astype(np.int16)


def predicted(found: Input, predictor: Predictor, **changes: Any) -> Result:
    return predict_scan(found, [predictor], Settings(changes=changes))


@pytest.mark.parametrize("code", ["LPS", "RAS", "LAI", "PIR"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_volumes_lie_on_the_grid_of_their_source(
    make_volume: Callable[..., Volume],
    save_nifti: Callable[..., Path],
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    nodules: np.ndarray,
    code: str,
    ending: str,
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    source = save_nifti(tmp_path / "scan.nii", make_volume(nodules, source_code=code))
    (found,) = find_inputs([source], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / f"mask{ending}", force=False)
    scan, mask = sitk.ReadImage(str(source)), sitk.ReadImage(str(tmp_path / f"mask{ending}"))
    assert mask.GetSize() == scan.GetSize()
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin(), abs=1e-4)
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing(), abs=1e-6)
    assert mask.GetDirection() == pytest.approx(scan.GetDirection(), abs=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(scan) > 0)
    if ending.startswith(".nii"):
        assert np.array_equal(nibabel.load(tmp_path / f"mask{ending}").affine, nibabel.load(source).affine)


def test_lesions_of_known_size_and_place(
    make_volume: Callable[..., Volume],
    save_nifti: Callable[..., Path],
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    nodules: np.ndarray,
) -> None:
    (found,) = find_inputs([save_nifti(tmp_path / "scan.nii", make_volume(nodules, source_code="RAS"))], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "out.json", force=False)
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["units"]["coordinates"].startswith("patient coordinates LPS")
    assert report["made_with"]["weights"] == [{"name": "hand-made", "sha256": "0" * 64}]
    assert report["made_with"]["postprocess"]["lungs"] is False
    assert report["spacing_mm_zyx"] == pytest.approx([2.0, 0.75, 0.75])
    assert len(report["lesions"]) == 2
    for lesion, (centre, diameter_mm) in zip(report["lesions"], NODULES[::-1], strict=True):
        z, y, x = centre
        assert lesion["centroid_mm"] == pytest.approx([x - 100, y - 80, z - 300], abs=1.0)
        assert lesion["longest_axial_diameter_mm"] == pytest.approx(diameter_mm, abs=max(1.0, 0.1 * diameter_mm))
        assert lesion["volume_mm3"] == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.08)
        assert lesion["probability"] > 0.99
        assert lesion["class"] is None
        assert lesion["slices"]["first"] == np.ceil((z - diameter_mm / 2) / 2)


def test_the_class_of_a_lesion(
    make_volume: Callable[..., Volume],
    save_nifti: Callable[..., Path],
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    nodules: np.ndarray,
) -> None:
    (found,) = find_inputs([save_nifti(tmp_path / "scan.nii", make_volume(nodules))], Reading())
    result = predicted(found, make_predictor(level=0.64, labels=("benign", "malignant")))
    write_output(result, tmp_path / "out.json", force=False)
    (first, _) = json.loads((tmp_path / "out.json").read_text())["lesions"]
    assert first["class"] == "malignant"
    assert sum(first["class_probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.fixture
def series(dicom_writer: ModuleType, tmp_path: Path, nodules: np.ndarray) -> Path:
    """The nodules as a DICOM series whose files are in no order."""
    slices = dicom_writer.ct_series(nodules, [2.0 * z for z in range(len(nodules))])
    dicom_writer.save_series([slices[z] for z in np.random.default_rng(0).permutation(len(slices))], tmp_path / "scan")
    return tmp_path / "scan"


def in_order(series: Path) -> list[pydicom.FileDataset]:
    """Return the images of a series from the feet up."""
    return sorted((pydicom.dcmread(path) for path in series.iterdir()), key=lambda each: each.ImagePositionPatient[2])


def test_a_dicom_segmentation_refers_to_the_images_of_its_series(
    series: Path, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    highdicom = pytest.importorskip("highdicom")
    (found,) = find_inputs([series], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "seg.dcm", force=False)
    images = in_order(series)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    uids = [image.SOPInstanceUID for image in images]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], nodules > 0)
    assert seg.NumberOfFrames == (nodules > 0).any(axis=(1, 2)).sum()
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert (seg.PatientID, seg.StudyInstanceUID) == (images[0].PatientID, images[0].StudyInstanceUID)
    assert seg.SegmentSequence[0].SegmentLabel == "Lung lesion"


def test_a_series_that_names_no_patient(
    dicom_writer: ModuleType, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    highdicom = pytest.importorskip("highdicom")
    slices = dicom_writer.ct_series(nodules, [2.0 * z for z in range(len(nodules))])
    for image in slices:
        del image.PatientID, image.PatientName
    dicom_writer.save_series(slices, tmp_path / "scan")
    (found,) = find_inputs([tmp_path / "scan"], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "seg.dcm", force=False)
    assert highdicom.seg.segread(tmp_path / "seg.dcm").PatientID == ""


def test_a_series_that_tells_no_slice_thickness(
    dicom_writer: ModuleType, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    highdicom = pytest.importorskip("highdicom")
    slices = dicom_writer.ct_series(nodules, [2.0 * z for z in range(len(nodules))])
    for image in slices:
        del image.SliceThickness
    dicom_writer.save_series(slices, tmp_path / "scan")
    (found,) = find_inputs([tmp_path / "scan"], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "seg.dcm", force=False)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    shared = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert shared.SliceThickness == 2.0
    uids = [each.SOPInstanceUID for each in slices]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], nodules > 0)


def test_a_coronal_series_has_a_segmentation_too(
    dicom_writer: ModuleType, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    """Its slices are counted along its own axis, of which there are fewer than rows of the patient's slices."""
    highdicom = pytest.importorskip("highdicom")
    images = []
    for number, hu in enumerate(nodules):
        image = dicom_writer.ct_slice(hu, 0, name=str(number), orientation=(1, 0, 0, 0, 0, -1))
        image.ImagePositionPatient = [-10, 50 + 2 * number, 200]
        images.append(image)
    dicom_writer.save_series(images, tmp_path / "scan")
    found = find_inputs([tmp_path / "scan"], Reading())
    (plan,) = plan_outputs(found, [tmp_path / "seg.dcm"], [], False)
    plan.write(predicted(plan.checked_scan, make_predictor(level=0.64)))
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    uids = [image.SOPInstanceUID for image in images]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], nodules > 0)


def test_a_copied_file_does_not_keep_a_segmentation_from_being_made(
    series: Path, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    highdicom = pytest.importorskip("highdicom")
    uids = [image.SOPInstanceUID for image in in_order(series)]
    shutil.copy(series / "1-007.dcm", series / "1-007 (1).dcm")
    (found,) = find_inputs([series], Reading())
    result = predicted(found, make_predictor(level=0.64))
    assert result.volume.notes == ("1-007.dcm: left out, a copy of 1-007 (1).dcm",)
    write_output(result, tmp_path / "seg.dcm", force=False)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], nodules > 0)


def test_images_that_share_a_uid_make_no_segmentation(
    series: Path, make_predictor: Callable[..., Predictor], tmp_path: Path
) -> None:
    """Masks would lie at the wrong heights."""
    pytest.importorskip("highdicom")
    lowest, *_, highest = in_order(series)
    highest.SOPInstanceUID = highest.file_meta.MediaStorageSOPInstanceUID = lowest.SOPInstanceUID
    highest.save_as(highest.filename)
    (found,) = find_inputs([series], Reading())
    result = predicted(found, make_predictor(level=0.64))
    with pytest.raises(DatasetError, match=r"scan: 1 of 34 slices have the SOPInstanceUID of another, so"):
        write_output(result, tmp_path / "seg.dcm", force=False)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_series_that_no_segmentation_can_refer_to_is_refused_as_it_is_read(
    dicom_writer: ModuleType, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    """Frames of two files; with another file to make, that one is made."""
    pytest.importorskip("highdicom")
    (tmp_path / "ct").mkdir()
    for number, rows in enumerate((slice(0, 17), slice(17, None))):
        heights = [2.0 * z for z in range(len(nodules))][rows]
        ct = dicom_writer.enhanced_ct(nodules[rows], heights)
        ct.SOPInstanceUID = f"1.2.3.{number}"
        dicom_writer.save(ct, tmp_path / "ct" / f"{number}.dcm")
    found = find_inputs([tmp_path / "ct"], Reading())
    (plan,) = plan_outputs(found, [tmp_path / "seg.dcm"], [], False)
    with pytest.raises(DatasetError, match=r"ct: its slices are the frames of 2 files, and .* \.nii\.gz instead\."):
        plan.checked_scan.read()
    (plan,) = plan_outputs(found, [tmp_path / "seg.dcm", tmp_path / "mask.nii.gz"], [], False)
    result = predicted(plan.checked_scan, make_predictor(level=0.64))
    with pytest.raises(DatasetError, match=r"frames of 2 files"):
        plan.write(result)
    assert np.array_equal(nibabel.load(tmp_path / "mask.nii.gz").get_fdata() > 0, result.source_mask() > 0)


def test_our_own_reader_reads_the_segmentation(
    series: Path, make_predictor: Callable[..., Predictor], nodules: np.ndarray
) -> None:
    from lungzoo.data.readers.dicom_seg import DicomSegReader

    (found,) = find_inputs([series], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), series / "seg.dcm", force=False)
    assert np.array_equal(np.stack([item.mask for item in DicomSegReader(series)]), nodules > 0)


def test_an_enhanced_series_and_one_without_a_lesion(
    dicom_writer: ModuleType, make_predictor: Callable[..., Predictor], tmp_path: Path, nodules: np.ndarray
) -> None:
    highdicom = pytest.importorskip("highdicom")
    heights = [2.0 * z for z in range(len(nodules))]
    dicom_writer.save(dicom_writer.enhanced_ct(nodules, heights), tmp_path / "ct.dcm")
    (found,) = find_inputs([tmp_path / "ct.dcm"], Reading())
    for level, expected in ((0.64, nodules > 0), (2.0, np.zeros(nodules.shape, bool))):
        write_output(predicted(found, make_predictor(level=level)), tmp_path / "seg.dcm", force=True)
        seg = highdicom.seg.segread(tmp_path / "seg.dcm")
        uid = pydicom.dcmread(tmp_path / "ct.dcm").SOPInstanceUID
        frames = list(range(1, len(nodules) + 1))
        pixels = seg.get_pixels_by_source_frame(uid, frames, assert_missing_frames_are_empty=True)
        assert np.array_equal(pixels[..., 0], expected)


@pytest.mark.parametrize("localizers", [0, 1])
def test_frames_of_an_enhanced_series_from_the_head_down(
    dicom_writer: ModuleType,
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    nodules: np.ndarray,
    localizers: int,
) -> None:
    """A localizer before them is no slice."""
    highdicom = pytest.importorskip("highdicom")
    heights = [-500.0] * localizers + [2.0 * z for z in range(len(nodules))][::-1]
    ct = dicom_writer.enhanced_ct(np.concatenate([nodules[:localizers], nodules[::-1]]), heights)
    kind = pydicom.Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    for group in ct.PerFrameFunctionalGroupsSequence[:localizers]:
        group.CTImageFrameTypeSequence = [kind]
    dicom_writer.save(ct, tmp_path / "ct.dcm")
    (found,) = find_inputs([tmp_path / "ct.dcm"], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "seg.dcm", force=False)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    frames = list(range(1, len(heights) + 1))
    pixels = seg.get_pixels_by_source_frame(ct.SOPInstanceUID, frames, assert_missing_frames_are_empty=True)[..., 0]
    assert not pixels[:localizers].any()
    assert np.array_equal(pixels[localizers:], nodules[::-1] > 0)
    marked = {item.PlanePositionSequence[0].ImagePositionPatient[2] for item in seg.PerFrameFunctionalGroupsSequence}
    assert marked == set(2.0 * np.flatnonzero((nodules > 0).any(axis=(1, 2))))


def test_a_picture_of_one_slice_has_its_size(make_predictor: Callable[..., Predictor], tmp_path: Path) -> None:
    grey = np.full((40, 50), 60, np.uint8)
    grey[10:14, 20:24] = 250
    Image.fromarray(grey).save(tmp_path / "slice.png")
    (found,) = find_inputs([tmp_path / "slice.png"], Reading())
    result = predicted(found, make_predictor())
    write_output(result, tmp_path / "out.png", force=False)
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    assert drawn.shape == (40, 50, 3)
    coloured = drawn[..., 0] != drawn[..., 2]
    assert coloured.sum() == 16  # four pixels along each side, just outside
    assert (drawn[~coloured][:, 0] == grey[~coloured]).all()
    write_output(result, tmp_path / "out.json", force=False)
    (lesion,) = json.loads((tmp_path / "out.json").read_text())["lesions"]
    assert (lesion["voxels"], lesion["volume_mm3"], lesion["centroid_mm"]) == (16, None, None)
    assert lesion["centroid_zyx"] == [0.0, 11.5, 21.5]


def test_a_sheet_of_a_volume(
    make_volume: Callable[..., Volume],
    save_nifti: Callable[..., Path],
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    nodules: np.ndarray,
) -> None:
    (found,) = find_inputs([save_nifti(tmp_path / "scan.nii", make_volume(nodules))], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "out.png", force=False)
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    assert drawn.shape == (3 * 90, 4 * 80, 3)
    labels = [drawn[y : y + 14, x : x + 40] for y in range(0, 270, 90) for x in range(0, 320, 80)]
    assert all(
        (label[..., 0] > label[..., 2] + 50).any() for label in labels
    )  # orange on grey: every slice has a number
    assert len({label.tobytes() for label in labels}) == 12  # of its own


def test_a_volume_without_lesion_says_so(make_volume: Callable[..., Volume]) -> None:
    image, mask = np.full((3, 200, 200), -850, np.int16), np.zeros((3, 200, 200), np.uint8)
    with_none = sheet(Result(Path("scan"), make_volume(image), mask, [], (), (), 0.5, PostprocessConfig()))
    mask[1, 150, 150] = 1
    with_one = sheet(Result(Path("scan"), make_volume(image), mask, [], (), (), 0.5, PostprocessConfig()))
    assert with_none.shape == with_one.shape == (200, 200, 3)
    words = [(tile[:40, :, 0] != tile[:40, :, 2]).any(axis=0).nonzero()[0].max() for tile in (with_none, with_one)]
    assert words[1] < 20 < words[0] < 64  # "z 1" alone, and "no lesion" below it, which fits the smallest slices


@pytest.mark.parametrize(("side_px", "step"), [(512, 1), (768, 2), (1024, 3)])
def test_outlines_stay_whole_in_sheets_of_large_slices(
    make_volume: Callable[..., Volume], side_px: int, step: int
) -> None:
    image, mask = np.full((2, side_px, side_px), -850, np.int16), np.zeros((2, side_px, side_px), np.uint8)
    mask[:, 300:309, 300:309] = 1
    result = Result(Path("scan"), make_volume(image), mask, [], (), (), 0.5, PostprocessConfig())
    tile = sheet(result)[: -(-side_px // step), : -(-side_px // step)]
    drawn = (tile[..., 0] != tile[..., 2])[side_px // step // 4 :]  # below the number
    assert drawn.sum() == 4 * {1: 9, 2: 5, 3: 3}[step]


def test_slices_with_the_most_lesion_are_drawn() -> None:
    mask = np.zeros((20, 1, 20), np.uint8)
    for z in range(20):
        mask[z, 0, :z] = 1
    assert choose_slices(mask).tolist() == list(range(8, 20))
    assert choose_slices(mask[:3]).tolist() == [1, 2]
    assert choose_slices(mask[:1]).tolist() == [0]
    assert outline(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).tolist() == [
        [False, True, False], [True, False, True], [False, True, False],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scan", "name", "text"),
    [
        (
            {"is_dicom": False, "has_grid": True},
            "a.dcm",
            "is not DICOM, and a DICOM SEG refers to the images of a series",
        ),
        ({"is_dicom": False, "has_grid": False}, "a.nii", r"has no grid in a patient.*Allowed: \.png, \.json"),
        (
            {"is_dicom": True, "has_grid": True},
            "a.jpg",
            r"Cannot write a prediction to 'a\.jpg'\. Allowed endings: \.nii",
        ),
    ],
)
def test_what_cannot_be_written(scan: dict[str, bool], name: str, text: str) -> None:
    found = Input("scan", Path("scan"), load=lambda: pytest.fail("read"), **scan)
    with pytest.raises(UsageError, match=text):
        format_of(Path(name)).check(found, Path(name))


def test_a_lesion_names_the_image_that_it_is_longest_in(
    series: Path, make_predictor: Callable[..., Predictor], tmp_path: Path
) -> None:
    (found,) = find_inputs([series], Reading())
    write_output(predicted(found, make_predictor(level=0.64)), tmp_path / "out.json", force=False)
    heights = {image.SOPInstanceUID: image.ImagePositionPatient[2] for image in map(pydicom.dcmread, series.iterdir())}
    for lesion, (centre, _) in zip(
        json.loads((tmp_path / "out.json").read_text())["lesions"], NODULES[::-1], strict=True
    ):
        assert abs(heights[lesion["slices"]["longest_diameter_image_uid"]] - centre[0]) <= 2.0
        assert heights[lesion["slices"]["longest_diameter_image_uid"]] == 2.0 * lesion["slices"]["longest_diameter"]
