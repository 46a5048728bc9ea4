"""Which slices of a volume are taken, and what is kept of its grid."""

import numpy as np
import pytest

from lungzoo.data.case import VolumeInfo
from lungzoo.data.geometry import Geometry
from lungzoo.data.readers import Entry, ScanReader
from lungzoo.data.scan import Scan, slices_of
from lungzoo.data.store import PreparedDataset
from lungzoo.data.summary import summarise
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError, ImportRefused

GRID = Geometry(((0.5, 0, 0, -10), (0, 0.7, 0, -20), (0, 0, 2.5, 100)))


def scan(volume: str = "P1/ct") -> Scan:
    image = np.arange(6, dtype=np.int16)[:, None, None] * np.ones((1, 4, 5), np.int16)
    mask = np.zeros((6, 4, 5), np.uint8)
    mask[2, 1, 1] = mask[3, 1, 1] = 1
    info = VolumeInfo(volume, (6, 4, 5), GRID, GRID, "1.2.3")
    return Scan(image, mask, info, "P1", "LR3", extra={"volume_mm3": 9.0}, labels={0: ""})


@pytest.mark.parametrize(
    ("choice", "taken"),
    [("all", [0, 1, 2, 3, 4, 5]), ("lesion", [2, 3]), ("lesion+1", [1, 2, 3, 4]), ("lesion+9", [0, 1, 2, 3, 4, 5])],
)
def test_which_slices(choice, taken):
    slices = list(slices_of(scan(), choice))
    assert [item.case.z for item in slices] == taken
    assert all((item.image == item.case.z).all() for item in slices)
    assert slices[-1].case.case == f"P1/ct/{taken[-1]:04d}"
    assert slices[-1].case.label == "LR3"
    assert slices[-1].case.spacing_mm == pytest.approx((2.5, 0.7, 0.5))


def test_a_slice_may_have_a_label_of_its_own():
    assert [item.case.label for item in slices_of(scan())] == ["", *["LR3"] * 5]


def test_another_choice():
    with pytest.raises(ConfigError, match=r"Received: 'some'. Allowed: all, lesion .*, lesion\+N"):
        list(slices_of(scan(), "some"))


class TwoScans(ScanReader):
    """Its second volume is at fault."""

    title, licence, citation = "Two", "CC0-1.0", "none"

    def list_entries(self):
        return [Entry("P1/ct", "P1", 6, None), Entry("P2/ct", "P2", 6, None)]

    def read(self, entry):
        if entry.patient == "P2":
            raise DatasetError("slices 3 and 4 are missing")
        return scan(entry.volume)


def test_the_grid_is_kept_to_the_end(tmp_path):
    reader = TwoScans(tmp_path, {"slices": "lesion"})
    assert reader.preview() == {
        "patients": 2,
        "volumes": 2,
        "slices": "at most 12",
        "slices taken": "lesion; how many, the masks tell",
        "faulty": 0,
    }
    steps = []
    skipped = import_dataset(reader, "two", tmp_path / "d", lambda *step: steps.append(step), skip_faulty=True)
    assert skipped == ["P2/ct: slices 3 and 4 are missing"]
    dataset = PreparedDataset(tmp_path / "d")
    assert dataset.volumes == {"P1/ct": scan().info}
    assert dataset.cases["volume_mm3"].tolist() == [9.0, 9.0]
    assert dataset.info["skipped_faults"] == skipped
    assert steps[-1] == (0, 2)


def test_a_faulty_volume_refuses_the_whole_unless_told(tmp_path):
    with pytest.raises(ImportRefused, match=r"1 faulty file\(s\); nothing was imported"):
        import_dataset(TwoScans(tmp_path), "two", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_setting_that_no_reader_has(tmp_path):
    with pytest.raises(ConfigError, match=r"no setting 'slice'. Did you mean 'slices'\? Allowed: slices"):
        TwoScans(tmp_path, {"slice": "all"})
    with pytest.raises(ConfigError, match=r"must be like 'all'. Received: 3"):
        TwoScans(tmp_path, {"slices": 3})


def test_the_lesion_volume_of_a_whole_volume(tmp_path):
    import_dataset(TwoScans(tmp_path), "two", tmp_path / "d", skip_faulty=True)
    found = summarise(PreparedDataset(tmp_path / "d"))["lesion_volume"]
    assert found["volumes"] == 1
    assert found["percentiles_cm3"]["50"] == round(2 * 0.5 * 0.7 * 2.5 / 1000, 3)
