from __future__ import annotations

import gzip
import importlib.util
import io
import struct
import sys
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from lungzoo.data.files.nifti import read_header, read_nifti
from lungzoo.data.files.volume import turn
from lungzoo.errors import DatasetError

ROOT = Path(__file__).resolve().parents[3]


def packed(file) -> io.BytesIO:
    return io.BytesIO(gzip.compress(file.read()))


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "<i4", "<f8"])
def test_as_nibabel_reads_it(hu, kind, pack, dtype):
    affine = np.array([[0, 0, 2.5, -5], [-0.5, 0, 0, 7], [0, 0.75, 0, 9], [0, 0, 0, 1.0]])
    header = kind.header_class(endianness=dtype[0])
    picture = kind(hu.astype(dtype), affine, header)
    volume = read_nifti(io.BytesIO(pack(picture.to_bytes())))
    assert (volume.stored_xyz == hu).all()
    assert volume.geometry.ras.tolist() == affine.tolist()
    assert volume.notes == ()


def test_turned_upright(hu, nifti):
    affine = np.diag([0.5, 0.75, 2.5, 1.0])
    turned = turn("v", read_nifti(nifti(hu, affine)), read_nifti(nifti((hu > 0).astype(np.uint8), affine)))
    assert turned.info.shape_zyx == (4, 5, 6)
    assert turned.info.source_geometry.code == "RAS"
    assert turned.image[3, 4, 5] == hu[0, 0, 3]
    assert (turned.mask == (turned.image > 0)).all()
    assert turned.info.geometry.spacing_mm == (2.5, 0.75, 0.5)


def test_scaling(nifti):
    file = nifti(np.array([[[0, 500]]], np.int16), scl_slope=2, scl_inter=-1000)
    assert turn("v", read_nifti(file), None).image.tolist() == [[[-1000]], [[0]]]


@pytest.mark.parametrize(("slope", "inter"), [(0, 7), (np.nan, 7)])
def test_a_slope_of_nought_scales_nothing(nifti, slope, inter):
    file = nifti(np.array([[[-900, 500]]], np.int16), scl_slope=slope, scl_inter=inter)
    assert turn("v", read_nifti(file), None).image.ravel().tolist() == [-900, 500]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dim": [4, 6, 5, 2, 2, 1, 1, 1]}, "6×5×2×2 voxels: a series of volumes"),
        ({"dim": [2, 6, 5, 4, 1, 1, 1, 1]}, "claims 2 axes, 6×5; expected three"),
        ({"dim": [3, 6, -5, 4, 1, 1, 1, 1]}, "claims 3 axes, 6×-5×4; expected three, of 1 and more"),
        ({"dim": [-3, 6, 5, 4, 1, 1, 1, 1]}, "claims -3 axes, no size"),
        ({"dim": [3, 6, 5, 5, 1, 1, 1, 1]}, r"300 bytes, but the file has 592 bytes: it is cut off or damaged"),
        ({"dim": [3, 6, 5, 3, 1, 1, 1, 1]}, "holds more than the 180 bytes of voxels"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "at most 2,147,483,648 are taken"),
        ({"datatype": 128, "bitpix": 24}, "the datatype 128; expected whole or real numbers"),
        ({"bitpix": 32}, "datatype int16, but 32 bits"),
        ({"vox_offset": 0}, "puts the voxels at byte 0; expected 352"),
        ({"vox_offset": np.nan}, "at byte nan"),
        ({"vox_offset": 352.5}, "at byte 352.5"),
        ({"scl_slope": 1, "scl_inter": np.inf}, "its scaling is 1 and inf"),
        ({"scl_slope": np.inf, "scl_inter": 0}, "its scaling is inf and 0"),
        ({"pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "its spacing is 0, 1, 1 mm; expected above 0"),
        ({"pixdim": [1, 1, -1, 1, 0, 0, 0, 0]}, "its spacing is 1, -1, 1 mm"),
        ({"pixdim": [1, 1, 1, np.nan, 0, 0, 0, 0]}, "its spacing is 1, 1, nan mm"),
        ({"xyzt_units": 3}, "lengths are in micrometres; expected mm"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "affine holds NaN"),
        ({"srow_x": [1e30, 0, 0, 0]}, r"voxels are 1e\+30 mm large; at most 100"),
        ({"srow_x": [-0.5, 0, 0, 1e9]}, r"lies 1e\+09 mm away"),
        ({"srow_x": [0, 0, 0, 0]}, "no size along an axis"),
        ({"srow_x": [-0.5, 0.2, 0, 0]}, "not at right angles"),
        ({"sform_code": 0, "quatern_b": 2}, r"its qform is broken \(quaternion\), and it has no sform"),
        ({"magic": b"ni1"}, "half of a pair of .hdr and .img"),
        ({"magic": b"xyz"}, "not a NIfTI file: its magic is"),
        ({"sizeof_hdr": 17}, "not a NIfTI file: it begins with 11 00 00 00"),
    ],
)
def test_headers_that_are_refused(hu, nifti, fields, reason):
    with pytest.raises(DatasetError, match=reason):
        read_nifti(nifti(hu, **fields))


def test_a_series_of_one_is_a_volume(hu, nifti):
    assert read_nifti(nifti(hu, dim=[5, 6, 5, 4, 1, 1, 1, 1])).stored_xyz.shape == (6, 5, 4)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\x5c\x01\x00\x00" + bytes(100)])
def test_hardly_any_bytes(data):
    with pytest.raises(DatasetError, match=r"not inflate|not a NIfTI file"):
        read_nifti(io.BytesIO(data))


def test_sform_before_qform(hu, nifti):
    volume = read_nifti(nifti(hu, qoffset_x=17))
    assert volume.geometry.ras[0, 3] == 10
    assert volume.notes == ("its sform and qform disagree; its sform was taken",)
    assert read_nifti(nifti(hu, qoffset_x=17, sform_code=0)).geometry.ras[0, 3] == 17
    broken = read_nifti(nifti(hu, quatern_b=2))
    assert broken.notes == ("its qform is broken (quaternion); its sform was taken",)


def test_no_orientation_at_all(hu, nifti):
    volume = read_nifti(nifti(hu, sform_code=0, qform_code=0))
    assert volume.geometry.code == "LAS"
    assert "says nothing of its orientation" in volume.notes[0]


def test_a_size_that_cannot_be_there_takes_no_room(hu, nifti):
    big = {"dim": [3, 1000, 1000, 900, 1, 1, 1, 1]}
    files = [nifti(hu, **big), packed(nifti(hu, **big))]
    tracemalloc.start()
    for file in files:
        with pytest.raises(DatasetError, match="1,800,000,000 bytes, but the file has"):
            read_header(file)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_compressed_file_is_read_to_its_checksum(hu, nifti):
    data = bytearray(packed(nifti(hu)).getvalue())
    data[-6] ^= 1
    with pytest.raises(DatasetError, match="does not inflate: CRC"):
        read_nifti(io.BytesIO(bytes(data)))
    with pytest.raises(DatasetError, match="does not inflate"):
        read_nifti(io.BytesIO(bytes(data[: len(data) // 2])))


def test_zeros_without_end_stop_at_the_claim(hu, nifti):
    endless = gzip.compress(nifti(hu).read() + bytes(64 * 2**20))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="more than the 240 bytes"):
        read_nifti(io.BytesIO(endless))
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_mask_of_another_grid(hu, nifti):
    image, mask = read_nifti(nifti(hu)), (hu > 0).astype(np.uint8)
    near, far = np.eye(4), np.eye(4)
    near[0, 3], far[0, 3] = 0.04, 0.06
    affine = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, -300], [0, 0, 0, 1.0]])
    turn("v", image, read_nifti(nifti(mask, near @ affine)))
    with pytest.raises(DatasetError, match=r"up to 0.06 mm apart, allowed are 0.05 mm \(a tenth of the smallest"):
        turn("v", image, read_nifti(nifti(mask, far @ affine)))
    with pytest.raises(DatasetError, match="its mask is 4×5×5 large, the image 4×5×6"):
        turn("v", image, read_nifti(nifti(mask[1:], affine)))


def test_an_empty_mask_is_kept_and_noted(hu, nifti):
    turned = turn("v", read_nifti(nifti(hu)), read_nifti(nifti(np.zeros_like(hu, np.uint8))))
    assert turned.notes == ("the mask is empty",)


def fuzz(count: int):
    spec = importlib.util.spec_from_file_location("fuzz_nifti", ROOT / "benchmarks" / "robustness" / "nifti.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_nifti"] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module.fuzz(count), module.LIMIT_S


def check(outcome, limit_s, count):
    assert outcome.strange == []
    assert sum(outcome.counts.values()) == count
    assert outcome.slowest[0] < limit_s


def test_damaged_files_are_read_or_refused():
    check(*fuzz(200), 200)


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused():
    check(*fuzz(5000), 5000)


def test_the_extension_before_the_voxels_is_skipped(hu, nifti):
    data = bytearray(nifti(hu, vox_offset=352 + 4096).getvalue())
    data[352:352] = bytes(4096)
    assert struct.unpack_from("<f", data, 108) == (4448.0,)
    assert (read_nifti(io.BytesIO(bytes(data))).stored_xyz == hu).all()
