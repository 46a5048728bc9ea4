"""Files made to do harm, given wherever weights are taken: none runs, leads out of its folder or fills the memory.

`test_the_bait_is_real` opens some of them as their kinds are meant to be opened, and finds the harm done.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lungzoo
from lungzoo.config import ModelConfig
from lungzoo.errors import LungzooError, UsageError, WeightsUnavailable
from lungzoo.inference.predictor import open_predictor
from lungzoo.weights.manifest import WeightsManifest, write_manifest

SECONDS, MEMORY_BYTES = 5, 64 * 2**20


class Harm:
    """Unpickling this makes a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm-was-done",)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Harm would be done in the working directory; a file outside the given folder must stay unread."""
    (tmp_path / "work").mkdir()
    (tmp_path / "given").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def dress(manifest: WeightsManifest, tmp_path: Path) -> Callable[..., Path]:
    """Gives a file the name, hash and manifest of weights, so that only its content is against it."""

    def dress(content: bytes, **changes: Any) -> Path:
        path = tmp_path / "given" / "w.npz"
        path.write_bytes(content)
        told = {"file": "w.npz", "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": max(len(content), 1)}
        write_manifest(manifest.model_copy(update={**told, **changes}), tmp_path / "given" / "manifest.json")
        return path

    return dress


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return stream.getvalue()


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def header(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def keras_archive(config: dict[str, Any]) -> bytes:
    return archive({"metadata.json": b'{"keras_version": "3.15.1"}', "config.json": json.dumps(config).encode()})


def lambda_model() -> bytes:
    import keras

    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.Lambda(lambda x: (os.mkdir("harm-was-done"), x)[1])(image))
    os.rmdir("harm-was-done")  # done once, when the model was made
    model.save("evil.keras")
    content = Path("evil.keras").read_bytes()
    os.unlink("evil.keras")
    return content


def hdf5(lead_to: str) -> bytes:
    import h5py

    with h5py.File("evil.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {"function": "cos\nmkdir"}})
        file["kernel"] = h5py.ExternalLink(lead_to, "/kernel")
        file["pickled"] = np.void(pickle.dumps(Harm()))
    content = Path("evil.h5").read_bytes()
    os.unlink("evil.h5")
    return content


def overlapping(copies: int) -> bytes:
    """A directory that lists one member many times: a bomb that no member's own ratio shows."""
    content = archive({"a000000.npy": npy(np.zeros(2**16, np.float64))}, zipfile.ZIP_DEFLATED)
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    row = content[start:end]
    rows = b"".join(row.replace(b"a000000", b"a%06d" % number) for number in range(copies))
    tail = bytearray(content[end:])
    tail[8:12] = struct.pack("<HH", copies, copies)
    tail[12:16] = struct.pack("<I", len(rows))
    return content[:start] + rows + bytes(tail)


def crowded() -> bytes:
    """A directory of 100,000 members, 5 MB of nothing, whose list alone would take fifty."""
    row = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    rows = b"".join(row + b"%08d" % number for number in range(100_000))
    return rows + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(rows), 0, 0)


MODULE = {"module": "os", "class_name": "mkdir", "config": {"path": "harm-was-done"}, "registered_name": None}
MANY_ZEROS = {f"a{number}.npy": npy(np.zeros(2**16, np.float64)) for number in range(64)}

# Content under the name and the hash of a weights file; None makes it when the test runs.
DRESSED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "a .keras file with a Lambda layer": (lambda _: lambda_model(), "which is no array"),
    "a .keras file that names a module": (lambda _: keras_archive(MODULE), "it contains 'metadata.json', which is no"),
    "an .h5 file with links and a pickle": (lambda out: hdf5(str(out / "secret.h5")), "it is damaged"),
    "a pickle": (lambda _: pickle.dumps(Harm()), "it is damaged"),
    "a torch archive": (lambda _: archive({"w/data.pkl": pickle.dumps(Harm())}), "it contains 'w/data.pkl', which is"),
    "an array of objects": (lambda _: archive({"a.npy": npy(np.array([Harm()], object), True)}), "'a' holds object"),
    "an ONNX file": (lambda _: b"\x08\x07\x12\x0cevil-exporter" + bytes(100), "it is damaged"),
    "a bomb in one member": (
        lambda _: archive({"a.npy": npy(np.zeros(2**22))}, zipfile.ZIP_DEFLATED), "'a.npy' would unpack to",
    ),
    "a bomb in many members": (lambda _: archive(MANY_ZEROS, zipfile.ZIP_DEFLATED), "it would unpack to"),
    "a bomb of one member listed often": (lambda _: overlapping(5000), "overlap"),
    "a crowd of members": (lambda _: crowded(), "it lists more members than any model has weights"),
    "a shape of terabytes": (lambda _: archive({"a.npy": header("(1099511627776, 8)")}), "claims the shape"),
    "a shape below zero": (lambda _: archive({"a.npy": header("(-1, -4)")}), "claims the shape"),
    "a name that climbs": (lambda _: archive({"../out.npy": npy(np.zeros(3))}), "is not one of a variable"),
    "a name from the root": (lambda out: archive({f"{out}/o.npy": npy(np.zeros(3))}), "is not one of a variable"),
    "complex numbers": (lambda _: archive({"a.npy": npy(np.zeros(3, np.complex64))}), "holds complex64, not numbers"),
    "text": (lambda _: archive({"a.npy": npy(np.array(["x"]))}), "holds <U1, not numbers"),
    "no numbers": (lambda _: archive({"a.npy": npy(np.array([np.nan]))}), "'a' has values that are not finite"),
    "nothing": (lambda _: b"", "1, expected 1|0 bytes, expected 1"),
}  # fmt: skip


def refused(source: Path, kind: type[LungzooError], message: str, takers: tuple[Any, ...] = (lungzoo.load,)) -> None:
    """Give a file to what takes weights; it is refused in time, in little memory, with what to give instead."""
    for open_it in takers:
        tracemalloc.start()
        begun = time.monotonic()
        with pytest.raises(kind, match=message) as caught:
            open_it(str(source))
        assert time.monotonic() - begun < SECONDS
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
        tracemalloc.stop()
        assert any(word in str(caught.value) for word in ("Give ", "Fetch ", "Delete ", "Allowed: ", "Received: "))
    assert list(Path().iterdir()) == []


def _start(source: str) -> Any:
    sizes: dict[str, Any] = {"encoder_depth": 3, "decoder_channels": (8, 8, 4), "decoder_convs": 1}
    return lungzoo.create_model("cnn_scratch", weights=source, encoder_options={"width": 4}, **sizes)


@pytest.fixture(autouse=True)
def _warm(tiny_model: Any) -> None:
    """Importing Keras is not part of the time."""


@pytest.mark.parametrize("case", DRESSED)
def test_content(case: str, dress: Callable[..., Path], tmp_path: Path) -> None:
    make, message = DRESSED[case]
    refused(dress(make(tmp_path)), WeightsUnavailable, message, (lungzoo.load, open_predictor))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["given", "manifest.json", "w.npz", "work"]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated(share: float, dress: Callable[..., Path], tiny_file: Path) -> None:
    whole = tiny_file.read_bytes()
    refused(dress(whole[: int(share * len(whole))]), WeightsUnavailable, "it is damaged")


def test_another_file_than_the_manifest_says(dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    path.write_bytes(b"x" * path.stat().st_size)
    refused(path, WeightsUnavailable, "is not the file that its manifest describes: sha256", (lungzoo.load, _start))
    path.write_bytes(b"x")
    refused(path, WeightsUnavailable, "is not the file that its manifest describes: 1 bytes, expected")


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    "ending",
    [".keras", ".h5", ".hdf5", ".pkl", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".onnx", ".safetensors", ".pb"],
)
def test_endings(ending: str, given: bool, tmp_path: Path) -> None:
    path = tmp_path / "given" / f"w{ending}"
    if given:
        path.write_bytes(pickle.dumps(Harm()))
    takers = (lungzoo.load, open_predictor, _start)
    refused(
        path,
        UsageError,
        r"lungzoo does not open '.*Give a published name \(lungzoo weights list\), an \.npz with",
        takers,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../secret.npz"}, "file: String should match pattern"),
        ({"file": "/etc/passwd"}, "file: String should match pattern"),
        ({"size_bytes": 10**18}, "size_bytes: Input should be less than or equal to 4294967296"),
        ({"size_bytes": -1}, "size_bytes: Input should be greater than or equal to 1"),
        ({"url": ["file:///etc/passwd"]}, "url.0: String should match pattern"),
        ({"sha256": "*"}, "sha256: String should match pattern"),
        ({"post_install": "rm -r /"}, "Unknown key 'post_install'"),
        ({"model": {"name": "cnn_scratch", "module": "os"}}, "Unknown key 'model.module'"),
    ],
)
def test_manifests(changes: dict[str, Any], message: str, dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    values = json.loads(path.with_name("manifest.json").read_text())
    path.with_name("manifest.json").write_text(json.dumps(values | changes))
    refused(path.parent, UsageError, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"\xff\xfe", "is not valid TOML"),
        (b"#" * (2**24 + 1), "is no manifest: 16777217 bytes; at most 16777216 are read"),
    ],
)
def test_manifests_that_are_none(content: bytes, message: str, dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    path.with_name("manifest.json").unlink()
    path.with_name("manifest.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        lungzoo.load(path.parent)


def test_a_link_out_of_the_folder(dress: Callable[..., Path], tiny_file: Path, tmp_path: Path) -> None:
    """Even to a file with the right hash: what a folder holds says nothing about what may be read elsewhere."""
    path = dress(tiny_file.read_bytes())
    path.rename(tmp_path / "secret.npz")
    path.symlink_to(tmp_path / "secret.npz")
    message = (
        r"is a link that leads out of its folder, to '.*secret\.npz'\. Give a folder with the files themselves\. From"
    )
    refused(path, UsageError, message)
    refused(path.parent, UsageError, message)


def test_a_manifest_that_is_a_link(dress: Callable[..., Path], tiny_file: Path, tmp_path: Path) -> None:
    manifest = dress(tiny_file.read_bytes()).with_name("manifest.json")
    manifest.rename(tmp_path / "secret.json")
    manifest.symlink_to(tmp_path / "secret.json")
    refused(manifest.parent, UsageError, "is a link that leads out of its folder")


def test_a_link_within_the_folder_is_fine(dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    path.rename(path.with_name("blob"))
    path.symlink_to("blob")
    assert lungzoo.load(path.parent).name == "cnn_scratch"


@pytest.mark.parametrize("to", ["/dev/zero", "w.npz", "nowhere.npz"])
def test_links_that_never_end(to: str, dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    path.unlink()
    path.symlink_to(to)
    refused(path.parent, UsageError, "No weights file at|is a link that leads")


def test_a_pipe(dress: Callable[..., Path], tiny_file: Path) -> None:
    path = dress(tiny_file.read_bytes())
    path.unlink()
    os.mkfifo(path)
    refused(path, UsageError, "No weights file at")


def test_the_bait_is_real(tmp_path: Path) -> None:
    """Whoever reads these files the way their kinds are meant does the harm, or the work, that they ask for."""
    pickle.loads(pickle.dumps(Harm()))
    assert Path("harm-was-done").is_dir()
    os.rmdir("harm-was-done")
    (tmp_path / "w.npz").write_bytes(DRESSED["an array of objects"][0](tmp_path))
    with np.load(tmp_path / "w.npz", allow_pickle=True) as arrays:
        arrays["a"]
    assert Path("harm-was-done").is_dir()
    os.rmdir("harm-was-done")
    with zipfile.ZipFile(io.BytesIO(overlapping(5000))) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 2**31
    with zipfile.ZipFile(io.BytesIO(crowded())) as archive:
        assert len(archive.infolist()) == 100_000


def test_the_right_file_loads(dress: Callable[..., Path], tiny_file: Path, tiny_config: ModelConfig) -> None:
    """What `dress` makes is refused for its content alone."""
    path = dress(tiny_file.read_bytes(), model=tiny_config)
    assert lungzoo.load(path).name == "cnn_scratch"
    assert _start(str(path)).name == "cnn_scratch"
