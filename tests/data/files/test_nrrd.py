from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from lungzoo.data.files.nrrd import read_nrrd
from lungzoo.errors import DatasetError

HEADER = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "6 5 4",
    "space directions": "(0.5,0,0) (0,0.75,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-10,-20,-300)",
}


def nrrd(data: bytes, start: str = "NRRD0004", **changes: str | None) -> io.BytesIO:
    """A file with header values by field, spaces as underscores; None leaves a field out."""
    fields = {**HEADER, **{key.replace("_", " "): value for key, value in changes.items()}}
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    return io.BytesIO("\n".join([start, "# made by hand", *lines, "", ""]).encode() + data)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype("<i2")


def test_plain(voxels: np.ndarray) -> None:
    volume = read_nrrd(nrrd(voxels.tobytes(order="F")))
    assert np.array_equal(volume.stored_xyz, voxels)
    assert volume.geometry.affine == ((0.5, 0, 0, -10), (0, 0.75, 0, -20), (0, 0, 2.5, -300))


def test_other_spaces_orders_and_encodings(voxels: np.ndarray) -> None:
    big = gzip.compress(voxels.astype(">i2").tobytes(order="F"))
    volume = read_nrrd(nrrd(big, space="right-anterior-superior", endian="big", encoding="gzip"))
    assert np.array_equal(volume.stored_xyz, voxels)
    assert volume.geometry.code == "RAS"
    assert volume.geometry.origin_mm == (10, 20, -300)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32])
def test_as_simpleitk_reads_and_writes_it(tmp_path, voxels: np.ndarray, compress: bool, kind: type) -> None:
    sitk = pytest.importorskip("SimpleITK")
    picture = sitk.GetImageFromArray(voxels.transpose(2, 1, 0).astype(kind))
    picture.SetSpacing((0.5, 0.75, 2.5))
    picture.SetOrigin((-10.5, 20.25, -300))
    picture.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3).GetMatrix())
    sitk.WriteImage(picture, str(tmp_path / "a.nrrd"), compress)
    with (tmp_path / "a.nrrd").open("rb") as file:
        volume = read_nrrd(file)
    assert np.array_equal(volume.stored_xyz.transpose(2, 1, 0), sitk.GetArrayFromImage(picture))
    for index in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (1, 2, 3)]:
        there = picture.TransformIndexToPhysicalPoint(index)
        assert volume.geometry.to_mm(np.array(index[::-1])) == pytest.approx(there, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"start": "NIFTI001"}, "it is not a NRRD file: it begins with 4e 49"),
        ({"dimension": "4"}, "its dimension is '4'; expected 3"),
        ({"sizes": "6 5"}, "its sizes are '6 5'; expected three whole numbers"),
        ({"sizes": "6 5 -4"}, "expected three whole numbers"),
        ({"sizes": "60000 60000 60000"}, "at most 2,147,483,648 are taken"),
        ({"sizes": "6 5 9"}, "its header claims 6×5×9 voxels, 540 bytes; 240 follow it"),
        ({"type": "block"}, "its type is 'block'; allowed are signed char"),
        ({"encoding": "hex"}, "its encoding is 'hex'; allowed are raw and gzip"),
        ({"encoding": "gzip"}, "it does not inflate"),
        ({"endian": None}, "its endian is ''; expected little or big"),
        ({"space": None}, "its space is '', so where it lies in the patient is unknown"),
        ({"space_directions": "none (1,0,0) (0,1,0)"}, "it needs three space directions"),
        ({"space_directions": "(1,0,0) (0,1) (0,0,1)"}, r"hold '\(0,1\)'; expected three numbers"),
        ({"space_directions": "(1,0,0) (0,nan,0) (0,0,1)"}, "NaN or infinite"),
        ({"data_file": "/etc/passwd"}, "its voxels are in other files"),
        ({"byte_skip": "-1"}, "its byte skip is -1; expected 0"),
        ({"space_units": '"m" "m" "m"'}, "its space units are m m m; expected mm"),
    ],
)
def test_refused(voxels: np.ndarray, changes: dict[str, str | None], text: str) -> None:
    with pytest.raises(DatasetError, match=text):
        read_nrrd(nrrd(voxels.tobytes(order="F"), **changes))


def test_it_inflates_to_no_more_than_it_claims(voxels: np.ndarray) -> None:
    for data, text in (
        (bytes(10**6), "it holds more than the 240 bytes"),
        (bytes(100), "it ends after 100 of the 240"),
    ):
        with pytest.raises(DatasetError, match=text):
            read_nrrd(nrrd(gzip.compress(data), encoding="gzip"))


def test_a_field_twice_and_a_header_without_an_end(voxels: np.ndarray) -> None:
    with pytest.raises(DatasetError, match="its header is broken at 'type: int'"):
        read_nrrd(io.BytesIO(b"NRRD0004\ntype: short\ntype: int\n\n"))
    with pytest.raises(DatasetError, match="its header does not end within 65,536 bytes"):
        read_nrrd(io.BytesIO(b"NRRD0004\n" + b"#" * 10**6))
