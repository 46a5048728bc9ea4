from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lungzoo.data.files.pictures import read_picture_header, read_pictures
from lungzoo.errors import DatasetError

PIXELS = np.arange(12).reshape(3, 4)


def saved(picture: Image.Image, kind: str, **how: object) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file


def npy(array: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    np.save(file, array)
    return file


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(dtype):
    file = saved(Image.fromarray((PIXELS * 20).astype(dtype)), "PNG")
    pixels = read_pictures(file)
    assert (pixels == PIXELS[None] * 20).all()
    assert (pixels.dtype, read_picture_header(file).shape_zyx) == (dtype, (1, 3, 4))


def test_black_and_white():
    assert read_pictures(saved(Image.fromarray(PIXELS > 5), "PNG")).tolist() == [(PIXELS > 5).astype(int).tolist()]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiff_pages_are_a_stack(dtype, compression):
    pages = [Image.fromarray((PIXELS + 10 * page).astype(dtype)) for page in range(3)]
    file = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression=compression)
    pixels = read_pictures(file)
    assert read_picture_header(file).shape_zyx == pixels.shape == (3, 3, 4)
    assert pixels.dtype == dtype
    assert (pixels == np.stack([PIXELS, PIXELS + 10, PIXELS + 20])).all()


def signed_tiff(values: np.ndarray) -> io.BytesIO:
    """One strip of int16, as scientific programs write it."""
    height, width = values.shape
    tags = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 200)]
    tags += [(277, 3, 1), (278, 3, height), (279, 4, values.size * 2), (339, 3, 2)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return io.BytesIO(head.ljust(200, b"\0") + values.astype("<i2").tobytes())


def test_signed_tiff():
    assert read_pictures(signed_tiff(PIXELS - 1000)).tolist() == [(PIXELS - 1000).tolist()]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2)])
def test_npy(order, shape):
    array = np.asarray(PIXELS.reshape(shape), np.int16, order=order)
    assert (read_pictures(npy(array)) == array.reshape(-1, *shape[-2:])).all()


def test_npy_of_truths():
    assert read_pictures(npy(PIXELS > 5)).dtype == np.uint8


def npy_header(text: str, body: bytes = b"") -> io.BytesIO:
    header = text.encode().ljust(118) + b"\n"
    return io.BytesIO(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body)


def png_header(width: int, height: int, bits: int = 8, colour: int = 0) -> io.BytesIO:
    body = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (io.BytesIO(b"GIF89a..."), "not a PNG, TIFF or NPY file: it begins with 47 49 46"),
        (io.BytesIO(b""), "begins with nothing"),
        (png_header(60000, 60000), "60000×60000 pixels large; at most 4,096 slices of 8,192×8,192"),
        (png_header(4, 3, colour=2), "PNG of 8 bits, colour; expected grey"),
        (png_header(4, 3, colour=3), "a palette"),
        (png_header(4, 3, bits=4), "PNG of 4 bits, grey; expected grey of 1, 8 or 16"),
        (png_header(4, 3), "does not decode"),
        (io.BytesIO(png_header(4, 3).getvalue()[:40]), "a PNG without an end"),
        (io.BytesIO(b"II*\0" + bytes(20)), "its TIFF header is broken|TIFF"),
        (saved(Image.new("RGB", (4, 3)), "TIFF"), "TIFF of mode RGB; expected one grey channel"),
        (npy(np.zeros((2, 2, 2, 2))), r"its shape is \(2, 2, 2, 2\)"),
        (npy(np.zeros((2, 2), complex)), "it holds complex128"),
        (npy_header("{'descr': '<i2', 'fortran_order': False, 'shape': (9, 9), }"), "162 bytes; there are 0"),
        (npy_header("{'descr': '<i2', 'fortran_order': False, 'shape': (999999999, 99999), }"), "there are 0"),
        (npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }", b"x" * 99), "it holds object"),
        (npy_header("__import__('os').system('true')"), "NPY header is broken"),
        (npy_header("{'descr': '<i2', 'fortran_order': False, 'shape': (-1, 2), }"), "NPY header|its shape|there are"),
    ],
)
def test_what_is_refused(file, reason):
    with pytest.raises(DatasetError, match=reason):
        read_pictures(file)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_damaged_pictures_are_read_or_refused(kind):
    rng = np.random.default_rng(0)
    sound = saved(Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)), kind).getvalue()
    for _ in range(150):
        data = bytearray(sound)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(256)
        try:
            read_pictures(io.BytesIO(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])))
        except DatasetError:
            continue
