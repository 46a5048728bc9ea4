from __future__ import annotations

import h5py
import numpy as np
import pytest

from lungzoo.data.readers import READERS
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError, ImportRefused

Hdf5Reader = READERS.get("hdf5")
ROW = {"patients": "row"}


@pytest.fixture
def written(tmp_path):
    def make(**datasets):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, values in datasets.items():
                file[name] = values
        return tmp_path / "a.h5"

    return make


@pytest.fixture
def imported(written, tmp_path):
    def make(options, **datasets):
        reader = Hdf5Reader(written(**datasets), options)
        import_dataset(reader, "hdf5", tmp_path / "d")
        return PreparedDataset(tmp_path / "d")

    return make


def test_real_numbers_of_nought_to_one(imported):
    images = np.linspace(0, 1, 12).reshape(3, 1, 2, 2)
    dataset = imported(ROW, images=images, masks=(images > 0.5).astype(float))
    assert dataset.images.tolist() == np.rint(images[:, 0] * 255).astype(int).tolist()
    assert (dataset.masks == (images[:, 0] > 0.5)).all()
    assert dataset.info["notes"] == [
        "images of 0..1 become whole numbers of 0..255: round(255 × value)",
        "1 of 3 mask(s) are empty: slices or volumes without a lesion",
    ]
    assert dataset.units == "uint8"


def test_hu_with_all_columns(imported):
    images = np.arange(12, dtype=np.int16).reshape(3, 2, 2, 1) * 100 - 1000
    dataset = imported(
        {"images": "x/ct", "labels": "label", "patients": "who", "volumes": "scan", "z": "z", "licence": "CC0-1.0"},
        **{"x/ct": images, "masks": np.full(images.shape, 255, np.uint8), "label": ["a", "b", "b"]},
        **{"who": ["P1", "P1", "P2"], "scan": ["s", "s", "t"], "z": [4, 5, 0]},
    )
    assert dataset.images.ravel().tolist() == images.ravel().tolist()
    assert dataset.masks.all()
    assert dataset.cases["case"].tolist() == ["s/0004", "s/0005", "t/0000"]
    assert dataset.cases["patient"].tolist() == ["P1", "P1", "P2"]
    assert dataset.cases["label"].tolist() == ["a", "b", "b"]
    assert dataset.info["licence"] == "CC0-1.0"


def test_preview(written):
    reader = Hdf5Reader(written(images=np.zeros((3, 4, 5), np.uint8), masks=np.zeros((3, 4, 5))), ROW)
    assert reader.preview() == {"patients": 3, "volumes": 3, "slices": 3, "size": "4×5", "units": "uint8"}


def test_patients_have_to_be_known(written):
    path = written(images=np.zeros((2, 4, 4), np.uint8), masks=np.zeros((2, 4, 4)))
    with pytest.raises(DatasetError, match=r"not said which patient each row belongs to.*--set patients=row"):
        Hdf5Reader(path)


@pytest.mark.parametrize(
    ("options", "datasets", "reason"),
    [
        ({}, {"labels": np.zeros((2, 4, 4))}, "no dataset 'masks'. It has: images, labels. The setting masks says"),
        ({}, {"masks": np.zeros((2, 4, 5))}, r"images are \(2, 4, 4\), masks \(2, 4, 5\); expected alike"),
        ({"patients": "who"}, {"masks": np.zeros((2, 4, 4)), "who": ["P"]}, "'who' has 1 rows, the images 2"),
        ({"z": "z"}, {"masks": np.zeros((2, 4, 4)), "z": [-1, 0]}, "z holds what is no whole number from 0"),
        ({"images": "a"}, {"masks": np.zeros((2, 9, 4, 4)), "a": np.zeros((2, 9, 4, 4))}, r"expected \(N, H, W\)"),
        ({"images": "a"}, {"masks": np.zeros((1, 1, 9000)), "a": np.zeros((1, 1, 9000))}, "at most 8,192 a side"),
        ({"images": "a"}, {"masks": np.zeros((1, 2, 2)), "a": np.full((1, 2, 2), 9.0)}, "every one of its values is 9"),
        (
            {"units": "uint8"},
            {"masks": np.zeros((2, 4, 4)), "images": np.zeros((2, 4, 4), int)},
            "units=uint8 takes uint8",
        ),
    ],
)
def test_files_that_are_refused(written, options, datasets, reason):
    path = written(**{"images": np.zeros((2, 4, 4), np.uint8), **datasets})
    with pytest.raises(DatasetError, match=reason):
        Hdf5Reader(path, {**ROW, **options})


def test_faulty_rows_are_named(written, tmp_path):
    images, masks = np.zeros((4, 2, 2)), np.zeros((4, 2, 2))
    images[1], images[2], masks[3] = np.nan, 1.5, 7
    path = written(images=images, masks=masks)
    with pytest.raises(ImportRefused) as refused:
        import_dataset(Hdf5Reader(path, {**ROW, "units": "uint8"}), "hdf5", tmp_path / "d")
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["a.h5, row 1", "a.h5, row 2", "a.h5, row 3"]
    assert "run from nan to nan; expected 0..1 as in the first rows" in refused.value.faults[0]
    assert "run from 1.5 to 1.5" in refused.value.faults[1]
    assert "its mask holds the values 7" in refused.value.faults[2]


def test_units():
    with pytest.raises(ConfigError, match="units must be one of auto, hu, uint8"):
        Hdf5Reader("a.h5", {"units": "HU"})


def test_msd_patches(shared_dir, tmp_path):
    path = shared_dir / "data" / "msd_task06" / "val_patches.h5"
    import_dataset(Hdf5Reader(path, {"masks": "labels", **ROW}), "hdf5", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    with h5py.File(path) as file:
        assert np.abs(dataset.images / 255 - file["images"][:, 0]).max() <= 0.5 / 255 + 1e-6
        assert (dataset.masks == file["labels"][:, 0]).all()
    assert len(dataset) == 130
    assert (dataset.lesion_px(1) > 0).sum() == 111


def test_rows_of_a_volume_are_counted_without_z(imported):
    images = np.zeros((4, 2, 2), np.uint8)
    dataset = imported({**ROW, "volumes": "scan"}, images=images, masks=images, scan=["s", "t", "s", "t"])
    assert sorted(dataset.cases["case"]) == ["s/0000", "s/0001", "t/0000", "t/0001"]


def test_columns_that_are_refused(written):
    images = np.zeros((3, 2, 2), np.uint8)
    path = written(images=images, masks=images, who=["P1", " ", ""], scan=["s", "t", "s"], z=[1, 1, 1])
    with pytest.raises(DatasetError, match="'who' is blank in 2 rows, such as row 1"):
        Hdf5Reader(path, {"patients": "who"})
    with pytest.raises(DatasetError, match="rows 0 and 2 are both volume s, z 1; expected each once"):
        Hdf5Reader(path, {**ROW, "volumes": "scan", "z": "z"})


def test_rows_that_name_no_patient(imported):
    images = np.zeros((2, 4, 4), np.uint8)
    dataset = imported(ROW, images=images, masks=images)
    assert not dataset.patients_known
    assert dataset.info["notes"] == ["all 2 mask(s) are empty: the dataset has no lesion"]


def test_a_mask_value_that_occurs_nowhere(written):
    images = np.ones((2, 4, 4), np.uint8)
    with pytest.raises(DatasetError, match=r"mask_value=7 is in none of its 2 mask\(s\); they hold 1\."):
        list(Hdf5Reader(written(images=images, masks=images), {**ROW, "mask_value": 7}))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DatasetError, match=r"a folder\. Give one HDF5 file; images in a folder are read by the"):
        Hdf5Reader(tmp_path, ROW)
