"""PyTorch checkpoints: exact where they are honest, refused and never run where they are not."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from lungzoo.encoders.torch_checkpoint import read_checkpoint
from lungzoo.errors import WeightsUnavailable

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
PROTOCOL = pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"little_endian": True, "protocol_version": 1001, "type_sizes": {}}, 2)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, numel: int, kind: str = "FloatStorage", legacy: bool = False) -> bytes:
    return (
        b"("
        + text("storage")
        + f"ctorch\n{kind}\n".encode()
        + text(key)
        + text("cpu")
        + number(numel)
        + (b"Nt" if legacy else b"t")
        + b"Q"
    )


def tensor(saved: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Opcodes of one tensor: the call that PyTorch writes, with no PyTorch."""
    arguments = b"(" + saved + number(offset) + numbers(*shape) + numbers(*strides) + b"\x89" + b"N" + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def state_dict(**tensors: bytes) -> bytes:
    items = b"".join(text(name) + body for name, body in tensors.items())
    return b"\x80\x02" + b"ccollections\nOrderedDict\n" + b")R" + b"(" + items + b"u."


def legacy_file(path: Path, program: bytes, storages: dict[str, np.ndarray]) -> Path:
    raw = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    path.write_bytes(MAGIC + PROTOCOL + SYSTEM + program + pickle.dumps(list(storages), 2) + raw)
    return path


def zip_file(path: Path, program: bytes, storages: dict[str, np.ndarray], **extra: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        for name, content in extra.items():
            archive.writestr(f"archive/{name}", content)
    return path


NUMBERS = np.arange(12, dtype="<f4")


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_reads_both_layouts(layout, tmp_path):
    legacy = layout == "legacy"
    saved = storage("7", 12, legacy=legacy)
    program = state_dict(
        plain=tensor(saved, 0, (3, 4), (4, 1)),
        turned=tensor(saved, 0, (4, 3), (1, 4)),
        part=tensor(saved, 5, (2, 2), (4, 1)),
        scalar=tensor(storage("8", 1, "LongStorage", legacy), 0, (), ()),
    )
    storages = {"7": NUMBERS, "8": np.array([42], "<i8")}
    write = legacy_file if legacy else zip_file
    state = read_checkpoint(write(tmp_path / "net.pth", program, storages))
    assert list(state) == ["plain", "turned", "part", "scalar"]
    np.testing.assert_array_equal(state["plain"], NUMBERS.reshape(3, 4))
    np.testing.assert_array_equal(state["turned"], NUMBERS.reshape(3, 4).T)
    np.testing.assert_array_equal(state["part"], [[5, 6], [9, 10]])
    assert state["scalar"] == 42
    assert state["plain"].flags.writeable


class _Runs:
    """Pickles into a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile_programs(target: Path) -> dict[str, tuple[bytes, str]]:
    import os
    import subprocess

    command = f"touch {target}"
    return {
        "os.system": (pickle.dumps(_Runs(os.system, command), 2), "system"),
        "subprocess": (pickle.dumps(_Runs(subprocess.call, ["touch", str(target)]), 2), "call'"),
        "eval": (pickle.dumps(_Runs(eval, f"open({str(target)!r}, 'w')"), 2), "eval"),
        "getattr": (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
        "protocol 4": (pickle.dumps(_Runs(os.system, command), 4), "system"),
        "dotted": (b"\x80\x04" + b"\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.", "OrderedDict.__class__"),
        "torch function": (b"\x80\x02ctorch\nload\n(" + text("x") + b"tR.", "torch.load"),
        "numpy": (b"\x80\x02cnumpy\nload\n(" + text("x") + b"tR.", "numpy.load"),
        "copyreg extension": (b"\x80\x02\x82\x01.", "unregistered extension code"),
        "inside a tensor": (
            state_dict(weight=b"cos\nsystem\n(" + text(command) + b"tR"),
            "os.system",
        ),
    }


@pytest.mark.parametrize("layout", ["zip", "legacy"])
@pytest.mark.parametrize("attack", hostile_programs(Path("unused")))
def test_hostile_pickles_are_refused_and_not_run(layout, attack, tmp_path):
    target = tmp_path / "was_here"
    program, named = hostile_programs(target)[attack]
    write = legacy_file if layout == "legacy" else zip_file
    with pytest.raises(WeightsUnavailable, match=r"no checkpoint that can be read safely") as refusal:
        read_checkpoint(write(tmp_path / "net.pth", program, {}))
    assert named in str(refusal.value)
    assert not target.exists()


def test_a_hostile_first_pickle_is_refused(tmp_path):
    import os

    target = tmp_path / "was_here"
    (tmp_path / "net.pth").write_bytes(pickle.dumps(_Runs(os.system, f"touch {target}"), 2))
    with pytest.raises(WeightsUnavailable, match="system', which no tensor needs"):
        read_checkpoint(tmp_path / "net.pth")
    assert not target.exists()


@pytest.mark.parametrize("setting", [b"}" + text("allowed") + b"Ks", b"(N}" + text("__defaults__") + b"Ns" + b"t"])
def test_a_pickle_cannot_change_the_reader(setting, tmp_path):
    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + setting.replace(b"Ks", b"K\x01s") + b"b."
    with pytest.raises(WeightsUnavailable):
        read_checkpoint(zip_file(tmp_path / "net.pth", program, {}))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (tensor(storage("0", 12), 0, (3, 5), (5, 1)), "reaches beyond its storage"),
        (tensor(storage("0", 12), 8, (3, 4), (4, 1)), "reaches beyond its storage"),
        (tensor(storage("0", 12), 0, (1000, 1000), (0, 0)), "reaches beyond its storage"),
        (tensor(storage("0", 12), -1, (3, 4), (4, 1)), "impossible sizes"),
        (tensor(storage("0", 12), 0, (3, 4), (-4, 1)), "impossible sizes"),
        (tensor(storage("0", 12), 0, (3, 4), (1,)), "argument 2 is"),
        (tensor(storage("0", 900), 0, (3, 4), (4, 1)), "cut short"),
        (tensor(storage("nowhere", 12), 0, (3, 4), (4, 1)), "nowhere"),
        (tensor(text("no storage"), 0, (3, 4), (4, 1)), "impossible sizes"),
        (tensor(storage("0", -4), 0, (), ()), "a storage that is not one"),
        (number(3), "not a plain state dict"),
    ],
)
def test_impossible_tensors_are_refused(body, fault, tmp_path):
    with pytest.raises(WeightsUnavailable, match=fault):
        read_checkpoint(zip_file(tmp_path / "net.pth", state_dict(weight=body), {"0": NUMBERS}))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>not found</html>", MAGIC, MAGIC + PROTOCOL + SYSTEM])
def test_damaged_files_are_refused(content, tmp_path):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="Fetch it again from where it was published"):
        read_checkpoint(tmp_path / "net.pth")


def test_big_endian_is_refused(tmp_path):
    path = zip_file(tmp_path / "net.pth", state_dict(), {}, byteorder=b"big")
    with pytest.raises(WeightsUnavailable, match="big-endian"):
        read_checkpoint(path)


def test_the_hand_made_program_is_what_pytorch_writes():
    """Same opcodes as a file of `torch.save`, apart from memoisation."""
    out = io.StringIO()
    pickletools.dis(state_dict(weight=tensor(storage("0", 12), 0, (3, 4), (4, 1))), out)
    for needed in ("GLOBAL     'torch._utils _rebuild_tensor_v2'", "GLOBAL     'torch FloatStorage'", "BINPERSID"):
        assert needed in out.getvalue()
    assert OrderedDict.__name__ in out.getvalue()
