from __future__ import annotations

import numpy as np
import pytest

from lungzoo.data.geometry import Geometry
from lungzoo.data.readers import READERS
from lungzoo.data.readers.luna16 import Nodule, balls
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, ImportRefused

Luna16Reader = READERS.get("luna16")
GRID = Geometry(((1.0, 0, 0, -10), (0, 1.0, 0, -20), (0, 0, 2.0, 100)))
HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
Offset = -10 -20 100
TransformMatrix = 1 0 0 0 1 0 0 0 1
ElementSpacing = 1 1 2
DimSize = 9 8 7
ElementType = MET_SHORT
ElementDataFile = {}.raw
"""


@pytest.fixture
def luna(tmp_path):
    """Two scans of 7×8×9; 1.2.3 has a nodule of 4 mm and one of 1 mm, 1.2.4 none."""
    root = tmp_path / "luna"
    image = (np.arange(7 * 8 * 9) * 3 - 1000).astype("<i2")
    for subset, uid in (("subset0", "1.2.3"), ("subset1", "1.2.4")):
        (root / subset).mkdir(parents=True)
        (root / subset / f"{uid}.mhd").write_text(HEADER.format(uid))
        (root / subset / f"{uid}.raw").write_bytes(image.tobytes())
    (root / "candidates.csv").write_text("seriesuid,coordX,coordY,coordZ,class\n")
    (root / "annotations.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2.3,-6,-16,106,4\n1.2.3,-2.4,-13,100,1\n9.9.9,0,0,0,5\n"
    )
    return root


def test_a_ball_by_hand():
    mask = balls([Nodule((-6, -16, 106), 4)], (7, 8, 9), GRID)
    disc = [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    assert mask[3, 2:7, 2:7].tolist() == disc
    # 2 mm above and below the centre a ball of 2 mm radius has one point.
    assert [int(plane.sum()) for plane in mask] == [0, 0, 1, 13, 1, 0, 0]


def test_a_small_ball_marks_the_voxel_of_its_centre():
    assert np.argwhere(balls([Nodule((-2.4, -13, 100.9), 0.5)], (7, 8, 9), GRID)).tolist() == [[0, 7, 8]]


def test_a_ball_at_the_edge_is_cut():
    assert balls([Nodule((-10, -20, 100), 2)], (7, 8, 9), GRID).sum() == 3
    with pytest.raises(DatasetError, match=r"a nodule at \(-12, -20, 100\) mm lies outside"):
        balls([Nodule((-12, -20, 100), 2)], (7, 8, 9), GRID)


def test_two_subsets(luna, tmp_path):
    reader = Luna16Reader(luna)
    assert reader.preview()["volumes"] == 2
    import_dataset(reader, "luna16", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    assert len(dataset) == 14
    first = dataset.cases[dataset.cases["volume"] == "1.2.3"]
    assert first["nodules"].unique().tolist() == [2]
    assert first["diameter_mm"].unique().tolist() == [4.0]
    assert dataset.cases["diameter_mm"].isna().sum() == 7
    assert dataset.masks[:7].sum() == 15 + 1
    assert not dataset.masks[7:].any()
    assert dataset.volumes["1.2.3"].series_uid == "1.2.3"
    assert dataset.volumes["1.2.3"].geometry == GRID
    assert dataset.info["notes"] == ["masks are balls of the annotated diameters, not outlines"]
    assert dataset.mask_bits == ("ball",)


def test_every_fault_is_named(luna, tmp_path):
    with (luna / "annotations.csv").open("a") as file:
        file.write("1.2.4,500,0,0,5\n1.2.4,x,0,0,5\n1.2.4,1,2\n1.2.4,0,0,0,-3\n")
    (luna / "subset2").mkdir()
    (luna / "subset2" / "1.2.4.mhd").write_text(HEADER.format("1.2.4"))
    (luna / "subset2" / "1.2.5.mhd").write_text(HEADER.format("../subset0/1.2.3"))
    with pytest.raises(ImportRefused) as refused:
        import_dataset(Luna16Reader(luna), "luna16", tmp_path / "d")
    faults = refused.value.faults
    assert [fault for fault in faults if "line" in fault] == [
        f"annotations.csv, line {line}: expected a seriesuid and four finite numbers" for line in (6, 7, 8)
    ]
    assert "subset2/1.2.4.mhd: is the same series as subset1/1.2.4.mhd" in faults
    assert any("ElementDataFile is '../subset0/1.2.3.raw'" in fault for fault in faults)
    assert any("1.2.4: a nodule at (500.0, 0.0, 0.0) mm lies outside" in fault for fault in faults)


def test_what_is_no_such_set(luna, tmp_path):
    (luna / "annotations.csv").write_text("seriesuid,x,y\n")
    with pytest.raises(DatasetError, match="lacks the columns coordX, coordY, coordZ, diameter_mm"):
        Luna16Reader(luna)
    (luna / "annotations.csv").unlink()
    with pytest.raises(DatasetError, match=r"holds 0 files annotations.csv; expected one"):
        Luna16Reader(luna)
    with pytest.raises(DatasetError, match=r"holds no .mhd files"):
        Luna16Reader(tmp_path / "luna" / ".." / _name(tmp_path / "none"))


def _name(path):
    path.mkdir()
    return path.name
