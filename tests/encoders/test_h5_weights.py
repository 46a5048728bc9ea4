"""HDF5 weights: the hash comes before HDF5, and nothing outside the file is read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from lungzoo.encoders.h5_weights import check_links, load_by_layer
from lungzoo.errors import WeightsUnavailable
from lungzoo.models.fetching import fetching


@pytest.fixture
def model() -> Any:
    image = keras.Input((2,), name="image")
    return keras.Model(image, keras.layers.Dense(1, use_bias=False, name="dense")(image))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that nobody gave: numbers of the right shape, and raw bytes of the right size."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.full((2, 1), 7, np.float32)
    (tmp_path / "secret.bin").write_bytes(np.full((2, 1), 7, np.float32).tobytes())
    return tmp_path / "secret.h5"


def legacy(path: Path, how: str, secret: Path) -> Path:
    """A file in the legacy layout whose one kernel lies inside it or, by a trick, elsewhere."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0"]
        inner = group.create_group("dense")
        if how == "inside":
            inner["kernel:0"] = np.ones((2, 1), np.float32)
        elif how == "external link":
            inner["kernel:0"] = h5py.ExternalLink(str(secret), "/kernel")
        elif how == "soft link":
            inner["kernel:0"] = h5py.SoftLink("/nowhere")
        elif how == "external storage":
            raw = str(secret.with_suffix(".bin"))
            inner.create_dataset("kernel:0", (2, 1), np.float32, external=[(raw, 0, 8)])
        elif how == "virtual":
            layout = h5py.VirtualLayout((2, 1), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "kernel", (2, 1))
            inner.create_virtual_dataset("kernel:0", layout)
        elif how == "circle":
            inner["again"] = group
    return path


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


ELSEWHERE = ["external link", "soft link", "external storage", "virtual"]


def test_what_lies_inside_is_read(model: Any, tmp_path: Path, secret: Path) -> None:
    path = legacy(tmp_path / "w.h5", "inside", secret)
    load_by_layer(model, path, md5_of(path))
    np.testing.assert_array_equal(model.get_weights()[0], [[1], [1]])


@pytest.mark.parametrize("how", ELSEWHERE)
def test_nothing_else_is(model: Any, how: str, tmp_path: Path, secret: Path) -> None:
    path = legacy(tmp_path / "w.h5", how, secret)
    before = model.get_weights()[0].copy()
    with pytest.raises(WeightsUnavailable, match=r"'/dense/dense/kernel:0' points elsewhere.*fetch it again"):
        load_by_layer(model, path, md5_of(path))
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_groups_in_circles_are_looked_at_once(tmp_path: Path, secret: Path) -> None:
    path = legacy(tmp_path / "w.h5", "circle", secret)
    with h5py.File(path, "r+") as file:
        for number in range(30):  # walked along every path, these would be some 10^30
            file["dense"][f"a{number}"] = file
            file[f"b{number}"] = file["dense"]
    check_links(path)


def test_the_hash_comes_before_hdf5(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("HDF5 has seen it")

    monkeypatch.setattr(h5py, "File", forbidden)
    with pytest.raises(WeightsUnavailable, match="are not those that were published: the md5 differs"):
        load_by_layer(model, path, "0" * 32)


@pytest.mark.parametrize("how", ["inside", *ELSEWHERE])
def test_files_that_keras_opens_are_looked_at_first(
    how: str, tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `keras.applications` finds in its cache, where it knows no hash of it."""
    from keras.src.utils import file_utils

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    path = legacy(tmp_path / "models" / "w.h5", how, secret)
    before = file_utils.get_file
    url = "http://127.0.0.1:9/w.h5"
    with fetching("mobilenetv2", "imagenet"):
        if how == "inside":
            assert file_utils.get_file("w.h5", url, cache_subdir="models", cache_dir=tmp_path) == str(path)
        else:
            with pytest.raises(WeightsUnavailable, match="points elsewhere"):
                file_utils.get_file("w.h5", url, cache_subdir="models", cache_dir=tmp_path)
    assert file_utils.get_file is before
