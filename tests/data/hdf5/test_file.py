from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest

from lungzoo.data.hdf5.file import blocks, find_dataset, open_hdf5, texts
from lungzoo.errors import DatasetError


@pytest.fixture
def opened(tmp_path):
    """Fill a file by a function, and open it."""

    def make(fill):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            fill(file)
        return open_hdf5(tmp_path / "a.h5")

    return make


@pytest.mark.parametrize(
    "how", [{}, {"chunks": (3, 2, 2)}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}]
)
def test_rows_in_blocks(opened, how, monkeypatch):
    monkeypatch.setattr("lungzoo.data.hdf5.file._BLOCK_BYTES", 100)
    rows = np.arange(10 * 4 * 4, dtype=np.int16).reshape(10, 4, 4)
    with opened(lambda file: file.create_dataset("deep/images", data=rows, **how)) as file:
        found = find_dataset(file, "/deep/images")
        got = list(blocks(found, found))
    assert len(got) > 1 or how
    assert (np.concatenate([one for _, one, _ in got]) == rows).all()
    assert [start for start, _, _ in got] == np.cumsum([0, *(len(one) for _, one, _ in got[:-1])]).tolist()


def virtual(file):
    layout = h5py.VirtualLayout((2, 2), "i2")
    layout[0] = h5py.VirtualSource("/elsewhere", "x", (2,))
    file.create_virtual_dataset("x", layout)


def odd_filter(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((2, 2))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((2, 2)), plist)


def link(target):
    def fill(file):
        file["x"] = target
        file["real"] = np.zeros(2)

    return fill


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (lambda file: file.create_dataset("images", data=[1]), "has no dataset 'x'. It has: images"),
        (lambda file: file.create_group("x"), "'x' is a folder, not a dataset"),
        (link(h5py.ExternalLink("/elsewhere", "/x")), "'x' is a link elsewhere; only what lies in the file itself"),
        (link(h5py.SoftLink("/real")), "'x' is a link elsewhere"),
        (virtual, "'x' has its numbers in other files"),
        (
            lambda file: file.create_dataset("x", (2, 2), "i2", external=[("/elsewhere", 0, 8)]),
            "numbers in other files",
        ),
        (odd_filter, "is packed by filter 32015; allowed are deflate, shuffle"),
        (
            lambda file: file.create_dataset("x", data=[file.ref], dtype=h5py.ref_dtype),
            "holds object; expected numbers",
        ),
        (lambda file: file.create_dataset("x", (2,), h5py.vlen_dtype(int)), "holds object; expected numbers"),
        (lambda file: file.create_dataset("x", (2,), "i2,f4"), "expected numbers or texts"),
        (lambda file: file.create_dataset("x", data=1), "is one value; expected rows"),
        (
            lambda file: file.create_dataset("x", (10**12, 9), "i2", chunks=(1, 9)),
            "claims .* of which 0 were ever written",
        ),
        (lambda file: file.create_dataset("x", (10**9,), "i2", chunks=(10**9,)), "chunks of 2,000,000,000 bytes"),
    ],
)
def test_what_is_refused(opened, fill, reason):
    with opened(fill) as file, pytest.raises(DatasetError, match=reason):
        find_dataset(file, "x")


def test_texts(opened):
    def fill(file):
        file["words"] = ["a", "ä"]
        file["bytes"] = np.array([b"a", b"b"])
        file["whole"] = [1, 2]
        file["real"] = [1.5, 2.5]
        file["long"] = ["x" * 257]

    with opened(fill) as file:
        assert [texts(find_dataset(file, name)) for name in ("words", "bytes", "whole")] == [
            ["a", "ä"],
            ["a", "b"],
            ["1", "2"],
        ]
        with pytest.raises(DatasetError, match="expected one text or whole number per row"):
            texts(find_dataset(file, "real"))
        with pytest.raises(DatasetError, match="a text of more than 256"):
            texts(find_dataset(file, "long"))


def test_what_is_no_hdf5(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(DatasetError, match="not a sound HDF5 file"):
        open_hdf5(tmp_path / "a.h5")


def test_a_damaged_block(opened, tmp_path):
    rng = np.random.default_rng(0)
    opened(lambda file: file.create_dataset("x", data=rng.normal(size=(64, 64)), compression="gzip")).close()
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[-5000:-1000] = bytes(4000)
    (tmp_path / "a.h5").write_bytes(data)
    with open_hdf5(tmp_path / "a.h5") as file, pytest.raises(DatasetError, match=r"cannot be read|cannot be opened"):
        list(blocks(find_dataset(file, "x")))


def test_blocks_stay_small_whatever_the_chunks(opened, monkeypatch):
    monkeypatch.setattr("lungzoo.data.hdf5.file._BLOCK_BYTES", 1000)

    def fill(file):
        file.create_dataset("wide", (100, 8, 8), "u1", chunks=(100, 2, 2), compression="gzip", fillvalue=0)[:] = 0
        file.create_dataset("narrow", (100, 8, 8), "u1", chunks=(3, 8, 8), compression="gzip")[:] = 0

    with opened(fill) as file:
        wide, narrow = find_dataset(file, "wide"), find_dataset(file, "narrow")
        # 64 bytes a row each: 15 rows of one, 7 of two, of which 6 are two whole chunks.
        assert [len(rows) for _, rows in blocks(wide)] == [15] * 6 + [10]
        assert {len(rows) for _, rows, _ in blocks(wide, narrow)} == {6, 4}
        monkeypatch.setattr("lungzoo.data.hdf5.file.MAX_CHUNK_BYTES", 6399)
        find_dataset(file, "narrow")
        with pytest.raises(DatasetError, match=r"'wide' has chunks across 100 rows, 6,400 bytes.*as h5repack -l does"):
            find_dataset(file, "wide")


def test_texts_too_long_are_not_unpacked(opened, monkeypatch):
    def fill(file):
        file.create_dataset("fixed", data=np.zeros(200, "S100000"), chunks=(20,), compression="gzip")
        file.create_dataset("late", data=["a"] * 600 + ["x" * 257])
        file.create_dataset("many", data=["abcd"] * 600)

    with opened(fill) as file:
        fixed, late, many = (file[name] for name in ("fixed", "late", "many"))
        tracemalloc.start()
        with pytest.raises(DatasetError, match="'/fixed' has room for texts of 100,000 bytes; at most 256"):
            texts(fixed)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
        with pytest.raises(DatasetError, match="'/late' holds a text of more than 256"):
            texts(late)
        assert texts(many) == ["abcd"] * 600
        monkeypatch.setattr("lungzoo.data.hdf5.file._MAX_COLUMN_BYTES", 2399)
        with pytest.raises(DatasetError, match="'/many' holds more than 2,399 characters"):
            texts(many)
        monkeypatch.setattr("lungzoo.data.hdf5.file._CACHE_BYTES", -1)
        with pytest.raises(DatasetError, match="has its texts in chunks of more than"):
            texts(many)
