"""Series that make a volume, and series that do not: each fault by its own words."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data.dicom.listing import list_files, volume_names, why_not_ct
from lungzoo.data.dicom.series import read_series
from lungzoo.errors import DatasetError

SHAPE = (5, 6, 8)
HEIGHTS = (100.0, 102.0, 104.0, 106.0, 108.0)


def values(shape=SHAPE) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape) - 500


@pytest.fixture
def slices(writer):
    return writer.ct_series(values(), HEIGHTS)


@pytest.fixture
def read(tree_of):
    """Read data sets as one series."""

    def make(datasets):
        tree = tree_of(datasets)
        listing = list_files(tree)
        assert not listing.faults
        (files,) = listing.series.values()
        return read_series(tree, files)

    return make


def test_values_positions_and_order(read, slices):
    series = read([slices[n] for n in (3, 0, 4, 2, 1)])
    np.testing.assert_array_equal(series.image, values())
    assert series.image.dtype == np.int16
    assert series.geometry.spacing_mm == pytest.approx((2, 0.5, 0.5))
    assert series.geometry.origin_mm == (-10, -20, 100)
    assert series.geometry.code == "LPS"
    assert series.notes == []
    assert series.slices[slices[4].SOPInstanceUID, 0] == 4


def test_instance_numbers_do_not_count(read, slices):
    for number, image in enumerate(slices):
        image.InstanceNumber = 5 - number
    np.testing.assert_array_equal(read(slices).image, values())


def test_rows_and_columns_have_their_own_spacing(read, writer):
    images = [writer.ct_slice(values()[n], z, spacing_mm=(0.7, 0.4)) for n, z in enumerate(HEIGHTS)]
    series = read(images)
    assert series.geometry.spacing_mm == pytest.approx((2, 0.7, 0.4))
    assert series.geometry.to_mm(np.array([1, 2, 3])) == pytest.approx([-10 + 3 * 0.4, -20 + 2 * 0.7, 102])


def test_a_feet_first_prone_series_is_turned(read, writer):
    """Rows run to the right and columns to the front, so the normal points to the head."""
    images = [writer.ct_slice(values()[n], z, orientation=(-1, 0, 0, 0, -1, 0)) for n, z in enumerate(HEIGHTS)]
    series = read(images)
    image, _, info = series.turned(np.zeros(SHAPE, np.uint8), "P1/ct")
    assert series.geometry.code == "RAS"
    assert info.geometry.code == "LPS"
    np.testing.assert_array_equal(image, values()[:, ::-1, ::-1])
    np.testing.assert_allclose(info.geometry.to_mm([0, 0, 0]), series.geometry.to_mm([0, 5, 7]))


def test_a_coronal_series_is_turned(read, writer):
    images = []
    for n in range(5):
        image = writer.ct_slice(values()[n], 0, name=str(n), orientation=(1, 0, 0, 0, 0, -1))
        image.ImagePositionPatient = [-10, 50 + 2 * n, 200]
        images.append(image)
    series = read(images)
    image, _, info = series.turned(np.zeros(SHAPE, np.uint8), "P1/ct")
    assert image.shape == (6, 5, 8)
    np.testing.assert_array_equal(image[::-1].transpose(1, 0, 2), values())
    assert info.geometry.spacing_mm == pytest.approx((0.5, 2, 0.5))
    assert info.geometry.origin_mm == pytest.approx((-10, 50, 197.5))


def test_unsigned_and_twelve_bits(read, slices):
    for n, image in enumerate(slices):
        stored = (values()[n] + 1000).astype("<u2") | 0xF000  # rubbish in the four unused bits
        image.PixelData, image.PixelRepresentation = stored.tobytes(), 0
        image.BitsStored, image.HighBit = 12, 11
    np.testing.assert_array_equal(read(slices).image, values())


def test_signed_twelve_bits_are_extended(read, slices):
    for n, image in enumerate(slices):
        image.PixelData = (values()[n].astype("<i2") & 0x0FFF).tobytes()
        image.BitsStored, image.HighBit, image.RescaleIntercept = 12, 11, 0
    np.testing.assert_array_equal(read(slices).image, values())


def test_slope_of_its_own_per_slice(read, slices):
    slices[1].RescaleSlope, slices[1].RescaleIntercept = 0.5, -1000
    series = read(slices)
    np.testing.assert_array_equal(series.image[1], np.rint((values()[1] + 1000) * 0.5 - 1000))
    np.testing.assert_array_equal(series.image[2], values()[2])


def test_padding_is_air_whatever_its_sign(read, slices):
    for n, image in enumerate(slices):
        stored = values()[n] + 1000
        stored[0, 0] = -2000
        image.PixelData = stored.astype("<i2").tobytes()
        image.add_new("PixelPaddingValue", "US", 63536)
    series = read(slices)
    assert (series.image[:, 0, 0] == -1024).all()
    assert series.notes == []


def test_values_beyond_the_scale_are_clipped_and_counted(read, slices):
    stored = values()[0] + 1000
    stored[0, :3] = -3000, 32000, 4071
    slices[0].PixelData = stored.astype("<i2").tobytes()
    series = read(slices)
    assert series.image[0, 0, :3].tolist() == [-1024, 3071, 3071]
    assert series.notes == ["2 voxels outside -1024 to 3071 HU were set to the nearer end"]


def test_a_single_slice_has_its_thickness(read, slices):
    assert read(slices[:1]).geometry.spacing_mm == pytest.approx((2, 0.5, 0.5))
    del slices[0].SliceThickness
    with pytest.raises(DatasetError, match=r"1\.dcm: is the only slice and has no SliceThickness"):
        read(slices[:1])


def test_copies_are_left_out(read, writer, slices):
    series = read([*slices, writer.ct_slice(values()[2], 104.0, name="again")])
    assert series.notes == ["6.dcm: left out, a copy of 3.dcm"]
    np.testing.assert_array_equal(series.image, values())


def test_localizers_are_left_out(read, writer, slices):
    scout = writer.ct_slice(np.zeros((9, 9)), 0.0, orientation=(1, 0, 0, 0, 0, -1))
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series = read([*slices, scout])
    assert series.notes == ["6.dcm: left out, a localizer"]
    assert series.image.shape == SHAPE
    with pytest.raises(DatasetError, match="nothing but localizers"):
        read([scout])


def test_enhanced_ct(read, writer):
    order = [2, 0, 1, 4, 3]
    series = read([writer.enhanced_ct(values()[order], [HEIGHTS[n] for n in order])])
    np.testing.assert_array_equal(series.image, values())
    assert series.geometry.origin_mm == (-10, -20, 100)


def test_enhanced_ct_that_says_less_than_it_holds(read, writer):
    image = writer.enhanced_ct(values(), HEIGHTS)
    image.NumberOfFrames = 4
    with pytest.raises(DatasetError, match=r"1\.dcm: says it has 4 frames and describes 5"):
        read([image])
    del image.PerFrameFunctionalGroupsSequence
    with pytest.raises(DatasetError, match="has 4 frames without a position for each"):
        read([image])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"RescaleSlope": None}, "3.dcm: has no RescaleSlope and RescaleIntercept, so its values are no HU"),
        ({"RescaleIntercept": None}, "has no RescaleSlope and RescaleIntercept"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0, expected above 0"),
        ({"RescaleType": "US"}, "RescaleType is 'US', expected HU"),
        ({"PixelSpacing": [-0.5, 0.5]}, "PixelSpacing is -0.5, 0.5 mm, expected between 0.001 and 100"),
        ({"PixelSpacing": None}, "has no PixelSpacing, so its place in the patient is unknown"),
        ({"ImagePositionPatient": None}, "has no ImagePositionPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "expected two unit vectors at right angles"),
        ({"ImageOrientationPatient": [1, 0, 0, 0]}, r"ImageOrientationPatient has 4 value\(s\), expected 6"),
        ({"Rows": None}, "has no Rows"),
        ({"SamplesPerPixel": 3}, "3 values per pixel: a colour picture, not HU"),
        ({"BitsAllocated": 12}, "BitsAllocated is 12, expected 1, 8, 16 or 32"),
        ({"BitsStored": 17}, "BitsStored is 17, expected a whole number from 1 to 16"),
        ({"PixelData": None}, "has no pixel data"),
        ({"PixelData": b"\0" * 90}, "cut off: 90 bytes, but 1×6×8 pixels of 16 bits need 96"),
        ({"PixelSpacing": [0.5, 0.6]}, r"mixes pixel spacings: \[0.5, 0.5\] \(1.dcm\), \[0.5, 0.6\] \(3.dcm\)"),
        (
            {"ImageOrientationPatient": [0.8, 0.6, 0, -0.6, 0.8, 0]},
            r"mixes orientations: .*1.dcm.*\[0.8, 0.6, 0, -0.6, 0.8, 0\] \(3.dcm\)",
        ),
        ({"Rows": 4}, r"mixes sizes: 6×8 \(5.dcm\), 4×8 \(3.dcm\)"),
        (
            {"ImagePositionPatient": [-10, -20, 104.9]},
            "uneven spacing between 2.dcm and 3.dcm: 2.90 mm, elsewhere 2.00",
        ),
        ({"ImagePositionPatient": [-9, -20, 104]}, "3.dcm: lies 1.00 mm beside the line of the other slices"),
        ({"ImagePositionPatient": [-10, -20, 102]}, "2.dcm and 3.dcm lie in one place and differ; remove one"),
    ],
)
def test_refused(read, slices, change, words):
    for keyword, value in change.items():
        if value is None:
            delattr(slices[2], keyword)
        else:
            setattr(slices[2], keyword, value)
    with pytest.raises(DatasetError, match=words):
        read(slices)


@pytest.mark.parametrize("value", ["NaN", "inf", "9e9", "abc", ""])
def test_positions_that_are_no_numbers(tree_of, slices, value):
    tree = tree_of(slices)
    data = tree.files["3.dcm"]
    at = data.index(b"\\104") - len(b"-10\\-20")
    tree.files["3.dcm"] = data[:at] + value.encode().ljust(3) + data[at + 3 :]
    (files,) = list_files(tree).series.values()
    with pytest.raises(DatasetError, match=r"3\.dcm: (ImagePositionPatient|has no ImagePositionPatient)"):
        read_series(tree, files)


def test_missing_slices_are_named(read, slices):
    with pytest.raises(DatasetError, match=r"^1 slice\(s\) missing between 2.dcm and 3.dcm: expected at 104.00 mm"):
        read([slices[0], slices[1], slices[3], slices[4]])


def test_two_missing_slices(read, writer):
    images = writer.ct_series(np.tile(values(), (2, 1, 1)), np.arange(10) * 2.0)
    del images[4:6]
    with pytest.raises(DatasetError, match=r"2 slice\(s\) missing between 4.dcm and 5.dcm: expected at 8.00, 10.00 mm"):
        read(images)


def test_positions_rounded_to_two_decimals(read, writer):
    heights = np.round(np.arange(5) * 0.625, 2)
    assert read(writer.ct_series(values(), heights)).geometry.spacing_mm[0] == pytest.approx(0.625)


def test_a_tilted_gantry_is_refused_with_its_angle(read, slices):
    for n, image in enumerate(slices):
        image.ImagePositionPatient = [-10, -20 + n * 2 * np.tan(np.radians(15)), 100 + 2 * n]
    with pytest.raises(DatasetError, match=r"not at right angles, by 15\.0°: a tilted gantry"):
        read(slices)


@pytest.mark.parametrize("modality", ["PT", "MR", "DX", "RTDOSE", ""])
def test_other_modalities(tree_of, slices, modality):
    slices[0].Modality = modality
    tree = tree_of(slices[:1])
    listing = list_files(tree)
    assert listing.ct()[0] == {}
    (files,) = listing.series.values()
    with pytest.raises(DatasetError, match=f"1.dcm: its modality is '{modality}', expected CT"):
        read_series(tree, files)


def test_secondary_capture(tree_of, slices):
    slices[0].SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    (files,) = list_files(tree_of(slices[:1])).series.values()
    assert why_not_ct(files) == "secondary capture, a picture of a screen without HU"


def test_names_of_volumes_and_patients(tree_of, writer):
    hu = values()[0]
    datasets = [writer.ct_slice(hu, 1, patient=patient) for patient in ("P10", "P9", "a/../b")]
    datasets.append(writer.ct_slice(hu, 1, patient="P9", series="other"))
    names = volume_names(list_files(tree_of(datasets)).series)
    assert sorted(names.values()) == ["P10/ct", "P9/ct", "P9/ct-2", "a_.._b/ct"]
    assert next(iter(names.values())) == "P9/ct"


@pytest.mark.parametrize("pack", [False, True])
def test_large_files(slices, writer, tmp_path, monkeypatch, pack):
    """DICOM files have a limit of their own, and of other files none but the first bytes are read."""
    from lungzoo.data import source_tree
    from lungzoo.data.dicom import listing as module

    writer.save_series(slices, tmp_path / "source")
    (tmp_path / "source" / "talk.mp4").write_bytes(bytes(2000))
    monkeypatch.setattr(source_tree, "MAX_FILE_BYTES", 100)
    source = tmp_path / "source"
    if pack:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", source))
    tree = source_tree.open_tree(source, "a layout")
    listing = list_files(tree)
    assert (listing.faults, listing.other) == ([], ["talk.mp4"])
    (files,) = listing.series.values()
    np.testing.assert_array_equal(read_series(tree, files).image, values())
    monkeypatch.setattr(module, "MAX_DICOM_BYTES", 200)
    faults = list_files(tree).faults
    assert len(faults) == 5
    assert all("bytes large, more than the 200 allowed" in fault for fault in faults)


def test_files_that_cannot_be_placed(tree_of, writer):
    nameless, unseries = writer.ct_slice(values()[0], 1), writer.ct_slice(values()[0], 2)
    nameless.PatientID = ""
    del unseries.SeriesInstanceUID
    tree = tree_of([nameless, unseries, *(writer.ct_slice(values()[0], 3, patient=name) for name in "AB")])
    tree.files |= {"a.dcm": b"", "b.dcm": b"GIF89a is no DICOM", "notes.txt": b"hello", "DICOMDIR": b"\0" * 200}
    both = tree.files["4.dcm"].replace(writer.uid("B/ct").encode(), writer.uid("A/ct").encode())
    tree.files["4.dcm"] = both
    listing = list_files(tree)
    assert listing.other == ["DICOMDIR", "notes.txt"]
    assert [fault.split(";")[0] for fault in listing.faults] == [
        "1.dcm: has no PatientID",
        "2.dcm: has no SeriesInstanceUID",
        "a.dcm: is not a DICOM file: no 'DICM' at byte 128. Received an empty file",
        "b.dcm: is not a DICOM file: no 'DICM' at byte 128. Received 18 bytes that start with b'GIF89a i'",
        f"3.dcm: series {writer.uid('A/ct')} has several patients: A, B",
    ]
