from __future__ import annotations

import os
import signal
import sys

import h5py
import numpy as np
import pytest

from lungzoo.data.hdf5 import Hdf5File, StoredDataset
from lungzoo.errors import DatasetError


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/images"] = np.arange(12, dtype=">i2").reshape(3, 2, 2)
        file["masks"] = np.ones((3, 2, 2), bool)
        file["who"] = ["é", "b", "c"]
        file["none"] = np.zeros((0, 2), "f4")
        file["far"] = h5py.ExternalLink("elsewhere.h5", "/x")
    return tmp_path / "a.h5"


def test_everything_a_reader_asks_for(path):
    with Hdf5File(path) as file:
        assert file.dataset("deep/images") == StoredDataset("/deep/images", (3, 2, 2), np.dtype(">i2"))
        assert len(file.dataset("none")) == 0
        assert file.texts("who") == ["é", "b", "c"]
        ((start, images, masks),) = file.blocks("deep/images", "masks")
        assert (start, images.tolist()) == (0, np.arange(12).reshape(3, 2, 2).tolist())
        assert masks.dtype == bool
        assert masks.all()
        assert list(file.blocks("none")) == []


def test_what_is_refused_leaves_the_file_open(path):
    with Hdf5File(path) as file:
        for name, why in (("far", "link elsewhere"), ("near", "no dataset 'near'. It has: deep/images, masks")):
            with pytest.raises(DatasetError, match=why):
                file.dataset(name)
        with pytest.raises(DatasetError, match="expected one text or whole number per row"):
            file.texts("masks")
        assert file.texts("who")


def test_what_is_no_file(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for name, why in (("a.h5", "not a sound HDF5 file"), ("b.h5", "no such file"), (".", "a folder. Give one")):
        with pytest.raises(DatasetError, match=why), Hdf5File(tmp_path / name):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSEGV, "the HDF5 library ended with SIGSEGV"), (signal.SIGXCPU, "took more than 2 s of processor time")],
)
def test_a_crash_is_an_error_of_the_file(path, number, words):
    with Hdf5File(path) as file:
        os.kill(file._process.pid, number)
        with pytest.raises(DatasetError, match=rf"the file is damaged: .*{words}"):
            file.dataset("masks")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processor time")
def test_a_hang_is_ended(path):
    """The endless loop stands for one in the C library."""
    import subprocess

    from lungzoo.data.confined import environment

    code = "from lungzoo.data.confined import allow_cpu; allow_cpu(1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), timeout=60)
    assert done.returncode == -signal.SIGXCPU


def test_the_process_ends_with_the_file(path):
    with Hdf5File(path) as file:
        process = file._process
        assert process.poll() is None
    assert process.poll() is not None
