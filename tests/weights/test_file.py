"""The weights file: round trips, damage, and files made to do harm."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import StorageError, WeightsUnavailable
from lungzoo.models.assemble import build_model
from lungzoo.weights import file as weights_file
from lungzoo.weights.file import read_weights, write_weights
from lungzoo.weights.fit import apply_weights
from lungzoo.weights.names import named_variables


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def header(text: str) -> bytes:
    """An .npy member with a header of one's own and no values."""
    content = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def test_a_file_gives_the_same_model_back(tiny_model: Any, tiny_config: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "w.npz"
    digest = write_weights(tiny_model, path)
    other = build_model(tiny_config)
    apply_weights(other, read_weights(path, digest))
    picture = np.random.default_rng(0).random((1, 33, 47, 1), "float32")
    np.testing.assert_array_equal(tiny_model(picture, training=False), other(picture, training=False))
    assert [entry.name for entry in path.parent.iterdir()] == ["w.npz"]


def test_equal_weights_give_equal_files(tiny_model: Any, tiny_file: Path, tmp_path: Path) -> None:
    digest = write_weights(tiny_model, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == tiny_file.read_bytes()
    assert digest == weights_file.hashlib.sha256(tiny_file.read_bytes()).hexdigest()


def test_numpy_reads_it_too(tiny_model: Any, tiny_file: Path) -> None:
    with np.load(tiny_file, allow_pickle=False) as arrays:
        assert set(arrays.files) == set(named_variables(tiny_model))


def test_half_precision_spares_the_vectors(tiny_model: Any, tiny_file: Path, tmp_path: Path) -> None:
    write_weights(tiny_model, tmp_path / "half.npz", dtype="float16")
    whole, half = read_weights(tiny_file), read_weights(tmp_path / "half.npz")
    assert half["head/kernel"].dtype == np.float16
    assert half["encoder/P1_0_norm/moving_variance"].dtype == np.float32
    np.testing.assert_allclose(half["head/kernel"], whole["head/kernel"], atol=1e-3)


def test_what_half_precision_cannot_hold_stays_whole(tiny_config: ModelConfig, tmp_path: Path) -> None:
    model = build_model(tiny_config)
    kernel = named_variables(model)["head/kernel"]
    kernel.assign(np.full(kernel.shape, 70000.0, "float32"))
    write_weights(model, tmp_path / "half.npz", dtype="float16")
    np.testing.assert_array_equal(read_weights(tmp_path / "half.npz")["head/kernel"], kernel)


def test_a_folder_that_cannot_be_made(tiny_model: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="Cannot write the weights to"):
        write_weights(tiny_model, tmp_path / "taken" / "w.npz")


def test_a_disk_that_fills_up_leaves_no_half_file(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.npz").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="Free some space"):
        write_weights(tiny_model, tmp_path / "w.npz")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("w.npz", b"old")]


def test_another_file_is_told_by_its_hash_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"anything")
    with pytest.raises(WeightsUnavailable, match="is not the file that its manifest describes: sha256"):
        read_weights(tmp_path / "w.npz", "0" * 64)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"Cannot read .*w\.npz: No such file"):
        read_weights(tmp_path / "w.npz")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(tiny_file: Path, tmp_path: Path, share: float) -> None:
    content = tiny_file.read_bytes()
    (tmp_path / "w.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsUnavailable, match=r"cannot be used as a weights file: it is damaged"):
        read_weights(tmp_path / "w.npz")


def test_one_flipped_bit_in_the_values(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {"a/b.npy": npy(np.arange(999.0))})
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="Bad CRC-32"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"hello\n" * 100, b"\x89HDF\r\n\x1a\n" + bytes(2000), pickle.dumps({"a": 1})])
def test_no_zip_at_all(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="File is not a zip file"):
        read_weights(tmp_path / "w.npz")


class Harm:
    """Unpickling this would make a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm-was-done",)


def test_pickled_objects_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "w.npz", {"a/b.npy": npy(np.array([Harm()], object), pickled=True)})
    with pytest.raises(WeightsUnavailable, match="'a/b' holds object, not numbers"):
        read_weights(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.npz"]


def test_a_keras_file_by_another_name_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its config names a function of `os`; a loader that follows it would make a folder."""
    monkeypatch.chdir(tmp_path)
    evil = b'{"module": "os", "class_name": "mkdir", "config": {"path": "harm-was-done"}}'
    path = archive(tmp_path / "w.npz", {"metadata.json": b"{}", "config.json": evil})
    with pytest.raises(WeightsUnavailable, match=r"it contains 'metadata\.json', which is no array"):
        read_weights(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize("name", ["../../out.npy", "/etc/out.npy", "a/../b.npy", "a\\..\\b.npy", "a//b.npy"])
def test_names_that_climb_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = archive(tmp_path / "in" / "w.npz", {name: npy(np.zeros(3))})
    with pytest.raises(WeightsUnavailable, match="is not one of a variable"):
        read_weights(path)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["in", "w.npz"]


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {"a/b.npy": npy(np.zeros(2**22))}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsUnavailable, match=r"'a/b\.npy' would unpack to 33554560 bytes from"):
        read_weights(path)


def test_more_than_the_cap_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "MAX_BYTES", 5000)
    path = archive(tmp_path / "w.npz", {f"a/{n}.npy": npy(np.zeros(300)) for n in range(3)})
    with pytest.raises(WeightsUnavailable, match="it would unpack to 7584 bytes; at most 5000 are read"):
        read_weights(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9999)}", "claims the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "claims the shape"),
        ("{'descr': '<U9', 'fortran_order': False, 'shape': (0,)}", "not numbers"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (0,)}", "not numbers"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (0,)}", "not numbers"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (0,)}", "not numbers"),
        ("__import__('os').mkdir('harm-was-done')", "it is damaged"),
        ("(" * 110, "it is damaged"),
    ],
)
def test_headers_that_lie(text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "w.npz", {"a/b.npy": header(text)})
    with pytest.raises(WeightsUnavailable, match=reason):
        read_weights(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.npz"]


def test_a_member_that_understates_its_size(tmp_path: Path) -> None:
    """The directory says 200 bytes, the packed stream holds 10 MB: no more than what it says is taken."""
    path = archive(tmp_path / "w.npz", {"a/b.npy": npy(np.zeros(9))}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    packed = zlib.compressobj(wbits=-15)
    stream = packed.compress(npy(np.zeros(9)) + bytes(10_000_000)) + packed.flush()
    directory = content.index(b"PK\x01\x02")
    start = 30 + len("a/b.npy")
    central = bytearray(content[directory : content.index(b"PK\x05\x06")])
    central[20:24] = struct.pack("<I", len(stream))
    end = bytearray(content[content.index(b"PK\x05\x06") :])
    end[16:20] = struct.pack("<I", start + len(stream))
    path.write_bytes(bytes(content[:start]) + stream + bytes(central) + bytes(end))
    np.testing.assert_array_equal(read_weights(path)["a/b"], np.zeros(9))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {"a/b.npy": npy(np.array([1.0, value]))})
    with pytest.raises(WeightsUnavailable, match="'a/b' has values that are not finite"):
        read_weights(path)


def test_two_arrays_of_one_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {"a.npy": npy(np.zeros(1)), "b.npy": npy(np.ones(1))})
    path.write_bytes(path.read_bytes().replace(b"b.npy", b"a.npy"))
    with pytest.raises(WeightsUnavailable, match="two of its arrays have the same name"):
        read_weights(path)


def test_an_empty_archive(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="it is empty"):
        read_weights(archive(tmp_path / "w.npz", {}))


def test_shapes_and_kinds_of_arrays(tmp_path: Path) -> None:
    arrays = {
        "scalar": np.array(3, "int64"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">f4"),
        "none": np.zeros((0, 4), "float32"),
    }
    read = read_weights(archive(tmp_path / "w.npz", {f"{name}.npy": npy(array) for name, array in arrays.items()}))
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
