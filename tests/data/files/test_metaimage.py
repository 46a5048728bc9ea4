from __future__ import annotations

import zlib

import numpy as np
import pytest

from lungzoo.data.files.metaimage import read_metaimage
from lungzoo.data.files.volume import turn
from lungzoo.errors import DatasetError

HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "-10 -20 -300",
    "ElementSpacing": "0.5 0.75 2.5",
    "DimSize": "6 5 4",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "scan.raw",
}


@pytest.fixture
def meta(tmp_path, hu):
    """Write scan.mhd; header values by key."""

    def write(data: bytes | None = None, **changes):
        (tmp_path / "scan.raw").write_bytes(hu.tobytes(order="F") if data is None else data)
        lines = [f"{key} = {value}" for key, value in {**HEADER, **changes}.items()]
        (tmp_path / "scan.mhd").write_text("\n".join(lines) + "\n")
        return tmp_path / "scan.mhd"

    return write


def test_plain(meta, hu):
    volume = read_metaimage(meta())
    assert (volume.stored_xyz == hu).all()
    assert volume.geometry.affine == ((0.5, 0, 0, -10), (0, 0.75, 0, -20), (0, 0, 2.5, -300))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32])
def test_as_simpleitk_reads_and_writes_it(tmp_path, hu, compress, kind):
    sitk = pytest.importorskip("SimpleITK")
    picture = sitk.GetImageFromArray(hu.transpose(2, 1, 0).astype(kind))
    picture.SetSpacing((0.5, 0.75, 2.5))
    picture.SetOrigin((-10.5, 20.25, -300))
    turned = sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3).GetMatrix()
    picture.SetDirection(turned)
    sitk.WriteImage(picture, str(tmp_path / "a.mhd"), compress)
    volume, read = read_metaimage(tmp_path / "a.mhd"), sitk.ReadImage(str(tmp_path / "a.mhd"))
    assert (volume.stored_xyz.transpose(2, 1, 0) == sitk.GetArrayFromImage(read)).all()
    for index in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (1, 2, 3)]:
        there = read.TransformIndexToPhysicalPoint(index)
        assert volume.geometry.to_mm(np.array(index[::-1])) == pytest.approx(there, abs=1e-6)


def test_byte_order(meta, hu):
    big = hu.astype(">i2").tobytes(order="F")
    assert (read_metaimage(meta(big, BinaryDataByteOrderMSB="True")).stored_xyz == hu).all()


def test_turned_upright(meta, hu):
    turned = turn("v", read_metaimage(meta(TransformMatrix="-1 0 0 0 -1 0 0 0 1")), None)
    assert turned.image[1, 0, 0] == hu[5, 4, 1]


@pytest.mark.parametrize(
    "name",
    [
        "/elsewhere/scan.raw",
        "../scan.raw",
        "a/scan.raw",
        "..\\scan.raw",
        "C:scan.raw",
        "LIST",
        "LIST 2D",
        "LOCAL",
        "s%03d.raw 1 4 1",
        "..",
    ],
)
def test_voxels_lie_beside_the_header(meta, name):
    with pytest.raises(DatasetError, match=r"ElementDataFile is .* expected the name of one file beside it"):
        read_metaimage(meta(ElementDataFile=name))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ElementDataFile": "other.raw"}, "the file of its voxels, other.raw, is missing"),
        ({"DimSize": "6 5 5"}, "claims 6×5×5 voxels, 300 bytes; scan.raw has 240"),
        ({"DimSize": "6 5 3"}, "claims 6×5×3 voxels, 180 bytes; scan.raw has 240"),
        ({"DimSize": "100000 100000 100000"}, "at most 2,147,483,648 are taken"),
        ({"DimSize": "6 5"}, "its dimsize is '6 5'; expected 3 numbers"),
        ({"DimSize": "6 5 -4"}, "expected 3 whole numbers from 1"),
        ({"NDims": "4"}, "NDims is '4'"),
        ({"ElementType": "MET_SHORT_ARRAY"}, "ElementType is 'MET_SHORT_ARRAY'; allowed are MET_CHAR"),
        ({"ElementNumberOfChannels": "3"}, "elementnumberofchannels is 3; expected 1"),
        ({"HeaderSize": "-1"}, "headersize is -1; expected 0"),
        ({"BinaryData": "False"}, "written as text"),
        ({"ElementSpacing": "0.5 0 2"}, "its spacing is 0.5 0 2 mm; expected above 0"),
        ({"ElementSpacing": "0.5 -1 2"}, "expected above 0"),
        ({"ElementSpacing": "nan 1 2"}, "expected 3 numbers"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "not of length 1"),
        ({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, "not at right angles"),
        ({"Position": "0 0 0"}, "broken at 'Position = 0 0 0'; expected 'key = value', each key once"),
        ({"CompressedData": "perhaps"}, "compresseddata is 'perhaps'"),
    ],
)
def test_headers_that_are_refused(meta, changes, reason):
    with pytest.raises(DatasetError, match=reason):
        read_metaimage(meta(**changes))


def test_compressed_voxels_that_do_not_fit(meta, hu):
    data = zlib.compress(hu.tobytes(order="F"))
    assert (read_metaimage(meta(data, CompressedData="True")).stored_xyz == hu).all()
    with pytest.raises(DatasetError, match="ends after"):
        read_metaimage(meta(data[:-20], CompressedData="True"))
    with pytest.raises(DatasetError, match="more than the 240 bytes"):
        read_metaimage(meta(zlib.compress(bytes(10**7)), CompressedData="True"))
    with pytest.raises(DatasetError, match=r"scan.raw cannot be read"):
        read_metaimage(meta(b"x" * 200, CompressedData="True"))


def test_a_binary_file_under_this_name(tmp_path):
    (tmp_path / "a.mhd").write_bytes(bytes(range(256)) * 1000)
    with pytest.raises(DatasetError, match=r"is no .mhd header: more than 65,536 bytes"):
        read_metaimage(tmp_path / "a.mhd")


@pytest.mark.parametrize("compress", [False, True])
def test_header_and_voxels_in_one_file(tmp_path, hu, compress):
    sitk = pytest.importorskip("SimpleITK")
    picture = sitk.GetImageFromArray(hu.transpose(2, 1, 0).astype(np.int16))
    picture.SetOrigin((-10.5, 20.25, -300))
    sitk.WriteImage(picture, str(tmp_path / "a.mha"), compress)
    volume = read_metaimage(tmp_path / "a.mha")
    assert (volume.stored_xyz == hu).all()
    assert volume.geometry.origin_mm == (-10.5, 20.25, -300)
    (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:-9])
    with pytest.raises(DatasetError, match=r"a\.mha"):
        read_metaimage(tmp_path / "a.mha")
