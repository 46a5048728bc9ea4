"""What is read, and what is said of what is not."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
from PIL import Image

from lungzoo.data.store import PreparedDataset
from lungzoo.errors import DatasetError, UsageError
from lungzoo.inference.inputs import Input, Reading, find_inputs
from lungzoo.inference.volume import Volume

HU = np.random.default_rng(0).integers(-1000, 400, (4, 6, 8)).astype(np.int16)
Z_MM = (10.0, 12.0, 14.0, 16.0)


def find(path: Path, series: str = "", hu_offset: int = 0) -> list[Input]:
    return find_inputs([path], Reading(series, hu_offset))


@pytest.fixture
def series(dicom_writer: ModuleType, tmp_path: Path) -> Path:
    """A folder with a CT series of four slices."""
    dicom_writer.save_series(dicom_writer.ct_series(HU, Z_MM), tmp_path / "scan")
    return tmp_path / "scan"


def test_a_folder_of_dicom(series: Path) -> None:
    (found,) = find(series)
    assert (found.name, found.has_grid, found.is_dicom) == ("scan", True, True)
    volume = found.read()
    assert np.array_equal(volume.image, HU)
    assert volume.spacing_mm == (2.0, 0.5, 0.5)


def test_a_zip_and_a_single_file(series: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for path in series.iterdir():
            archive.write(path, f"deep/{path.name}")
    (found,) = find(tmp_path / "packed.zip")
    assert found.name == "packed"
    assert np.array_equal(found.read().image, HU)
    (alone,) = find(series / "1-002.dcm")
    assert np.array_equal(alone.read().image, HU[1:2])


def test_several_series_are_listed_and_chosen(series: Path, dicom_writer: ModuleType) -> None:
    dicom_writer.save_series(dicom_writer.ct_series(HU[:3] + 1, Z_MM[:3], series="other"), series / "b")
    uids = sorted(dicom_writer.uid(f"P1/{name}") for name in ("ct", "other"))
    with pytest.raises(
        DatasetError, match=r"holds 2 CT series\. Choose one with --series and its number or UID:"
    ) as told:
        find(series)
    assert f"  1: {4 if uids[0] == dicom_writer.uid('P1/ct') else 3} slice(s) of P1" in str(told.value)
    assert all(uid in str(told.value) for uid in uids)
    number = 1 + uids.index(dicom_writer.uid("P1/other"))
    for choice in (str(number), dicom_writer.uid("P1/other")):
        (found,) = find(series, choice)
        assert np.array_equal(found.read().image, HU[:3] + 1)
    with pytest.raises(DatasetError, match=r"has no CT series '3'"):
        find(series, "3")


def test_contours_without_their_ct(dicom_writer: ModuleType, tmp_path: Path) -> None:
    dicom_writer.save_series([dicom_writer.structure_set({})], tmp_path / "contours")
    with pytest.raises(DatasetError, match=r"holds no CT series: its DICOM files are RTSTRUCT alone"):
        find(tmp_path / "contours")


def test_another_modality(dicom_writer: ModuleType, tmp_path: Path) -> None:
    slices = dicom_writer.ct_series(HU, Z_MM)
    for image in slices:
        image.Modality, image.SOPClassUID = "MR", "1.2.840.10008.5.1.4.1.1.4"
    dicom_writer.save_series(slices, tmp_path / "mr")
    with pytest.raises(DatasetError, match=r"holds no CT series: .*its modality is 'MR', expected CT"):
        find(tmp_path / "mr")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda slices: slices.pop(1), r"1 slice\(s\) missing between 1-001.dcm and 1-002.dcm: expected at 12.00 mm"),
        (
            lambda slices: delattr(slices[2], "RescaleIntercept"),
            "has no RescaleSlope and RescaleIntercept, so its values",
        ),
        (lambda slices: setattr(slices[2], "PixelSpacing", [0.6, 0.6]), "the series mixes pixel spacings"),
    ],
)
def test_a_series_that_cannot_be_used(
    dicom_writer: ModuleType, tmp_path: Path, change: Callable[[list], object], text: str
) -> None:
    slices = dicom_writer.ct_series(np.concatenate([HU, HU]), [10.0 + 2 * z for z in range(8)])
    change(slices)
    dicom_writer.save_series(slices, tmp_path / "scan")
    (found,) = find(tmp_path / "scan")
    with pytest.raises(DatasetError, match=f"scan: .*{text}"):
        found.read()


def test_a_compressed_series_without_its_codec_names_the_package(dicom_writer: ModuleType, tmp_path: Path) -> None:
    slices = dicom_writer.ct_series(HU, Z_MM)
    for number, image in enumerate(slices):
        image.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        image["PixelData"].is_undefined_length = True
        dicom_writer.save(image, tmp_path / "scan" / f"{number}.dcm", "1.2.840.10008.1.2.4.201")
    (found,) = find(tmp_path / "scan")
    with pytest.raises(DatasetError, match=r"no decoder is installed: pip install pylibjpeg pylibjpeg-openjpeg"):
        found.read()


def test_a_damaged_file_is_told_before_anything_is_read(series: Path) -> None:
    (series / "1-009.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\7" * 40)
    with pytest.raises(DatasetError, match=r"1 faulty DICOM file\(s\); nothing was predicted") as told:
        find(series)
    assert "1-009.dcm" in str(told.value)


def test_a_damaged_file_does_not_keep_a_named_series_from_being_read(series: Path, dicom_writer: ModuleType) -> None:
    """It may be a slice at the end of that series, which nothing else can tell."""
    (series / "1-009.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\7" * 40)
    (found,) = find(series, dicom_writer.uid("P1/ct"))
    volume = found.read()
    assert np.array_equal(volume.image, HU)
    assert volume.notes[0].startswith("1 faulty DICOM file(s) left out; the first or last slice of this series")
    assert "1-009.dcm" in volume.notes[0]
    with pytest.raises(DatasetError, match=r"(?s)has no CT series '7'.*Faulty files, left out:.*1-009\.dcm"):
        find(series, "7")
    (series / "1-002.dcm").write_bytes((series / "1-002.dcm").read_bytes()[:200])
    (found,) = find(series, "1")
    with pytest.raises(DatasetError, match=r"uneven spacing between 1-001\.dcm and 1-003\.dcm"):
        found.read()


@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_volumes_in_a_file(
    make_volume: Callable[..., Volume], save_nifti: Callable[..., Path], tmp_path: Path, ending: str, code: str
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    volume = make_volume(HU, source_code=code)
    path = save_nifti(tmp_path / "a.nii", volume)
    if ending != ".nii":
        picture = sitk.ReadImage(str(path))
        path = tmp_path / f"a{ending}"
        sitk.WriteImage(picture, str(path), ending != ".mhd")
    (found,) = find(path)
    assert (found.name, found.has_grid, found.is_dicom) == ("a", True, False)
    read = found.read()
    assert np.array_equal(read.image, HU)
    assert read.info.geometry.matrix == pytest.approx(volume.info.geometry.matrix, abs=1e-4)
    assert read.info.source_geometry.code == code


def test_a_cut_off_volume(make_volume: Callable[..., Volume], save_nifti: Callable[..., Path], tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", make_volume(HU))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DatasetError, match=r"a\.nii: its header claims .* it is cut off or damaged\."):
        find(path)


def test_a_volume_that_is_no_hu(
    make_volume: Callable[..., Volume], save_nifti: Callable[..., Path], tmp_path: Path
) -> None:
    (found,) = find(save_nifti(tmp_path / "a.nii", make_volume(np.abs(HU))))
    message = "nothing is below 0, though air is near -1000 HU.*If this is CT, put slope and offset right in the file"
    with pytest.raises(DatasetError, match=message):
        found.read()


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 0)])
def test_a_mask_is_no_scan(values: tuple[int, int], tmp_path: Path) -> None:
    voxels = np.where(np.arange(96).reshape(4, 4, 6) % 7 == 0, values[1], values[0]).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "mask.nii")
    (found,) = find(tmp_path / "mask.nii")
    with pytest.raises(
        DatasetError, match=r"mask\.nii: it has only the values 0.*, as masks have\. Give the CT that it"
    ):
        found.read()


def test_pictures(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.save(tmp_path / "stack.npy", HU)
    Image.fromarray((HU[0].astype(int) + 1024).astype(np.uint16)).save(tmp_path / "offset.png")
    found = [
        find(tmp_path / "grey.png")[0],
        find(tmp_path / "stack.npy")[0],
        find(tmp_path / "offset.png", "", -1024)[0],
    ]
    assert [(each.has_grid, each.is_dicom) for each in found] == [(False, False)] * 3
    volumes = [each.read() for each in found]
    assert [volume.units for volume in volumes] == ["uint8", "hu", "hu"]
    assert np.array_equal(volumes[0].image[0], grey)
    assert np.array_equal(volumes[1].image, HU)
    assert np.array_equal(volumes[2].image[0], HU[0])


def test_sixteen_bits_are_no_hu_as_they_stand(tmp_path: Path) -> None:
    Image.fromarray((HU[0].astype(int) + 1024).astype(np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: its pixels are uint16, .* such as --hu-offset -1024"):
        find(tmp_path / "a.png")


def test_eight_bits_take_no_offset(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"8-bit grey, which is no HU\. Received: --hu-offset 5"):
        find(tmp_path / "a.png", "", 5)


def test_a_prepared_dataset_is_all_its_volumes(phantom: PreparedDataset) -> None:
    found = find(phantom.path)
    assert len(found) == 12
    assert (found[2].name, found[2].has_grid) == ("PHANTOM-0003", False)
    volume = found[2].read()
    assert np.array_equal(volume.image, phantom.images[12:18])
    assert volume.spacing_mm == pytest.approx((5.0, 340 / 64, 340 / 64))


@pytest.mark.parametrize("name", ["gone.nii", "notes.txt"])
def test_what_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(UsageError, match=f"{name}'.*a prepared dataset"):
        find(tmp_path / name)


def test_ways_of_reading_that_go_with_no_input(series: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((8, 8), np.int16))
    with pytest.raises(
        UsageError, match=r"--series 2 chooses among DICOM series, and no input is DICOM\. Leave it out"
    ):
        find_inputs([tmp_path / "a.npy"], Reading(series="2"))
    with pytest.raises(UsageError, match=r"--hu-offset -1024 is for PNG, TIFF and NPY, and no input is one"):
        find_inputs([series], Reading(hu_offset=-1024))
    assert len(find_inputs([series, tmp_path / "a.npy"], Reading(series="1", hu_offset=-1024))) == 2


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no CT series: it is empty\. Give"):
        find(tmp_path)


def test_names_do_not_collide(series: Path, tmp_path: Path) -> None:
    twice = find_inputs([series, series], Reading())
    assert [each.name for each in twice] == ["scan", "scan-2"]


def test_numbers_that_are_given_do_not_collide_with_names_that_are_there(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/scan.npy", "b/scan.npy", "c/scan-2.npy", "d/Scan.npy")]
    for path in paths:
        path.parent.mkdir()
        np.save(path, HU)
    names = [each.name for each in find_inputs(paths, Reading())]
    assert names == ["scan", "scan-3", "scan-2", "Scan-4"]
