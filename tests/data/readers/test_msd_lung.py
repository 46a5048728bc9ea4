from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from lungzoo.data.readers import READERS
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, ImportRefused

MsdLungReader = READERS.get("msd-lung")


@pytest.fixture
def task(tmp_path):
    """Two scans of 5×4×6 (x, y, z) in RAS; slices 1 and 2 of lung_002 have cancer."""
    root = tmp_path / "source" / "Task06_Lung"
    affine = np.diag([0.7, 0.7, 2.0, 1])
    image = (np.arange(120).reshape(5, 4, 6) * 10 - 1000).astype(np.int16)
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (root / part).mkdir(parents=True)
    for name in ("lung_010", "lung_002"):
        mask = np.zeros(image.shape, np.uint8)
        mask[1, 2, 1:3] = name == "lung_002"
        nibabel.save(nibabel.Nifti1Image(image, affine), root / "imagesTr" / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, affine), root / "labelsTr" / f"{name}.nii.gz")
    (root / "imagesTr" / "._lung_002.nii.gz").write_bytes(b"left by macOS")
    (root / "imagesTs" / "lung_003.nii.gz").write_bytes(b"not read")
    return root


def listed(task, *names):
    rows = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    (task / "dataset.json").write_text(json.dumps({"training": rows}))


def test_the_whole_set(task, tmp_path):
    listed(task, "lung_002", "lung_010")
    reader = MsdLungReader(task.parent)
    assert reader.preview() == {"patients": 2, "volumes": 2, "slices": 12, "slices taken": "all", "faulty": 0}
    import_dataset(reader, "msd-lung", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    assert dataset.cases["patient"].unique().tolist() == ["lung_002", "lung_010"]
    assert np.flatnonzero(dataset.masks.any(axis=(1, 2))).tolist() == [1, 2]
    # x grows to the right and y to the front in the file.
    assert np.argwhere(dataset.masks[1]).tolist() == [[1, 3]]
    assert dataset.images[1, 1, 3] == 10 * (1 * 24 + 2 * 6 + 1) - 1000
    assert dataset.info["notes"] == ["lung_010: the mask is empty"]
    assert dataset.info["licence"] == "CC-BY-SA-4.0"
    assert dataset.volumes["lung_002"].source_geometry.code == "RAS"


def test_slices_with_cancer(task, tmp_path):
    import_dataset(MsdLungReader(task, {"slices": "lesion"}), "msd-lung", tmp_path / "d")
    assert PreparedDataset(tmp_path / "d").cases["case"].tolist() == ["lung_002/0001", "lung_002/0002"]


def test_every_fault_is_named(task, tmp_path):
    listed(task, "lung_002", "lung_077")
    (task / "labelsTr" / "lung_099.nii.gz").write_bytes(b"")
    (task / "imagesTr" / "lung_005.nii.gz").write_bytes(b"x")
    (task / "imagesTr" / "lung_010.nii.gz").write_bytes((task / "imagesTr" / "lung_010.nii.gz").read_bytes()[:-30])
    labels = nibabel.Nifti1Image(np.full((5, 4, 6), 2, np.uint8), np.diag([0.7, 0.7, 2.0, 1]))
    nibabel.save(labels, task / "labelsTr" / "lung_002.nii.gz")
    with pytest.raises(ImportRefused) as refused:
        import_dataset(MsdLungReader(task), "msd-lung", tmp_path / "d")
    faults = "\n".join(refused.value.faults)
    assert len(refused.value.faults) == 5
    assert "labelsTr/lung_099.nii.gz: has no image in imagesTr" in faults
    assert "imagesTr/lung_077.nii.gz: is missing, though dataset.json lists it" in faults
    assert "imagesTr/lung_005.nii.gz: has no mask in labelsTr" in faults
    assert "lung_002: its mask holds the values 2; allowed are 0 and 1" in faults
    assert "lung_010: imagesTr/lung_010.nii.gz: it" in faults


def test_what_is_no_such_set(tmp_path, task):
    with pytest.raises(DatasetError, match=r"holds no imagesTr with NIfTI files. Give the unpacked folder Task06_Lung"):
        MsdLungReader(_folder(tmp_path / "empty"))
    (tmp_path / "Task06_Lung.tar").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"is a file. Unpack it"):
        MsdLungReader(tmp_path / "Task06_Lung.tar")
    (task / "dataset.json").write_text("[" * 10_000)
    with pytest.raises(DatasetError, match=r"dataset.json is damaged"):
        MsdLungReader(task)


def _folder(path):
    path.mkdir()
    return path
