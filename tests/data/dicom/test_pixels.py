"""Transfer syntaxes: what decodes, what is refused, and what claims more than it holds."""

import tracemalloc
import zlib

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from lungzoo.data.dicom.files import parse
from lungzoo.data.dicom.pixels import read_format, stored_frames
from lungzoo.errors import DatasetError

STORED = np.arange(48, dtype=np.int32).reshape(6, 8) * 40 + 500


def stored_values(dataset) -> np.ndarray:
    return np.stack(list(stored_frames(dataset, read_format(dataset))))


@pytest.fixture
def image(writer):
    return writer.ct_slice(STORED - 1000, 0.0)


@pytest.fixture
def saved(writer, tmp_path):
    def save(dataset, syntax):
        return writer.save(dataset, tmp_path / "one.dcm", syntax).read_bytes()

    return save


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_plain(image, saved, syntax):
    np.testing.assert_array_equal(stored_values(parse(saved(image, syntax)))[0], STORED)


def test_big_endian(image, saved):
    image.PixelData = STORED.astype(">i2").tobytes()
    image["PixelData"].VR = "OW"
    np.testing.assert_array_equal(stored_values(parse(saved(image, ExplicitVRBigEndian)))[0], STORED)


@pytest.mark.parametrize(("syntax", "package"), [(RLELossless, "pydicom"), (JPEGLSLossless, "jpeg_ls")])
def test_compressed(image, saved, syntax, package):
    pytest.importorskip(package)
    data = saved(image, "1.2.840.10008.1.2.1")
    dataset = parse(data)
    dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(stored_values(parse(saved(dataset, syntax)))[0], STORED)


def test_a_codec_that_is_not_there(image, saved, monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    image.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    words = r"compressed as JPEG Lossless.*no decoder is installed: pip install pylibjpeg pylibjpeg-libjpeg"
    with pytest.raises(DatasetError, match=words):
        stored_values(parse(saved(image, JPEGLosslessSV1)))


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xd8\xff\xf7\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xf7\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9",
        b"\xff\x4f\xff\x51\x00\x29\x00\x00" + b"\0\0\xff\xff" * 2 + bytes(40),
    ],
)
def test_a_frame_that_claims_another_size(image, saved, frame):
    image.PixelData = encapsulate([frame])
    with pytest.raises(DatasetError, match="its compressed frame is 65535×65535, its header says 6×8"):
        stored_values(parse(saved(image, JPEGLSLossless)))


def test_compressed_rubbish(image, saved):
    image.PixelData = encapsulate([b"\xff\xd8 rubbish \xff\xd9"])
    with pytest.raises(DatasetError, match="JPEG-LS Lossless Image Compression pixels do not decode: "):
        stored_values(parse(saved(image, JPEGLSLossless)))


def test_a_transfer_syntax_that_nobody_knows(image, saved):
    data = saved(image, "1.2.840.10008.1.2.1").replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0")
    with pytest.raises(DatasetError, match=r"transfer syntax '1\.2\.840\.10008\.1\.2\.7' is unknown; convert it"):
        stored_values(parse(data))


def test_a_claim_of_42_terabytes(image, saved):
    image.Rows = image.Columns = 65535
    image.NumberOfFrames = 10000
    with pytest.raises(DatasetError, match="Rows is 65535, expected a whole number from 1 to 4,096"):
        stored_values(parse(saved(image, ImplicitVRLittleEndian)))
    image.Rows = image.Columns = 4096
    with pytest.raises(DatasetError, match="4096×4096×10000 voxels, more than the 268,435,456 allowed in a file"):
        stored_values(parse(saved(image, ImplicitVRLittleEndian)))


@pytest.mark.parametrize("allocated", [8, 16, 32])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bits_wherever_they_lie(image, saved, allocated, signed, syntax):
    """Against Python's whole numbers: every place and number of bits."""
    words = np.random.default_rng(0).integers(0, 1 << allocated, 48).tolist()
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    image.PixelData = np.array(words, f"{order}u{allocated // 8}").tobytes()
    image["PixelData"].VR = "OB" if allocated == 8 else "OW"
    image.BitsAllocated, image.PixelRepresentation = allocated, signed
    dataset = parse(saved(image, ImplicitVRLittleEndian if order == "<" else syntax))
    for stored in (1, 5, allocated - 1, allocated):
        for high in range(stored - 1, allocated, 3):
            dataset.BitsStored, dataset.HighBit = stored, high
            bits = [word >> (high + 1 - stored) & ((1 << stored) - 1) for word in words]
            expected = [value - (1 << stored) if signed and value >> (stored - 1) else value for value in bits]
            found = stored_values(dataset)
            assert found.ravel().tolist() == expected
            assert found.dtype.itemsize == allocated // 8


@pytest.mark.parametrize("high", [11, 15])
def test_memory_for_twelve_bits(image, writer, high):
    """12 signed bits of 16 take one frame at a time."""
    image.Rows = image.Columns = 512
    image.NumberOfFrames, image.BitsStored, image.HighBit = 16, 12, high
    image.PixelData = bytes(2 * 16 * 512 * 512)
    tracemalloc.start()
    assert sum(1 for _ in stored_frames(image, read_format(image))) == 16
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.2 * len(image.PixelData)


def test_a_deflated_bomb(image, saved, monkeypatch):
    monkeypatch.setattr("lungzoo.data.dicom.files.MAX_FILE_BYTES", 10_000)
    data = saved(image, DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(10**6)) + packer.flush()
    with pytest.raises(DatasetError, match="inflates to more than the 10,000 bytes allowed"):
        parse(data[:start] + bomb)
    with pytest.raises(DatasetError, match="is deflated, and does not inflate"):
        parse(data[:start] + b"\xff" * 50)
    with pytest.raises(DatasetError, match="is deflated, and its header is damaged"):
        parse(data[:140] + bytes(4) + data[144:])


def test_sequences_nested_300_deep(image, saved):
    data = saved(image, "1.2.840.10008.1.2.1")
    nest = b""
    for _ in range(300):
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + nest + b"\xfe\xff\x0d\xe0\0\0\0\0"
        nest = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    start = 144 + int.from_bytes(data[140:144], "little")
    with pytest.raises(DatasetError, match="cannot be parsed: RecursionError"):
        parse(data[:start] + nest + data[start:])


def test_pydicom_that_is_not_installed(monkeypatch, image, saved):
    from lungzoo.errors import UsageError

    data = saved(image, ImplicitVRLittleEndian)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(UsageError, match=r"DICOM files need the package pydicom.*'lungzoo\[medical\]'"):
        parse(data)
