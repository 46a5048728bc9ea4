from __future__ import annotations

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from lungzoo.data.case import VolumeInfo
from lungzoo.data.files.export import export_volume
from lungzoo.data.geometry import Geometry, to_axial
from lungzoo.data.readers import READERS
from lungzoo.data.scan import Scan, slices_of
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, StorageError, UsageError

ENDINGS = ["nii", "nii.gz", "mha", "nrrd"]


def scan(affine_ras: np.ndarray) -> tuple[Scan, np.ndarray]:
    """Return a volume of 4×6×5 (z, y, x) and the same in its source's axes."""
    source = Geometry.from_ras(affine_ras)
    axes = np.abs(source.matrix[:3, :3]).argmax(axis=0)
    stored = (np.arange(120).reshape([(5, 6, 4)[axis] for axis in axes]) * 10 - 1000).astype(np.int16)
    image, geometry = to_axial(stored, source)
    mask = ((image > -900) & (image < 0)).astype(np.uint8) * 3
    mask[0] = 0
    info = VolumeInfo("P1/ct", image.shape, geometry, source)
    return Scan(np.ascontiguousarray(image), mask, info, "P1", readers=3), stored


@pytest.fixture
def dataset(store):
    def make(affine_ras: np.ndarray, choice: str = "all"):
        made, stored = scan(affine_ras)
        return store(list(slices_of(made, choice)), mask_bits=("one", "two")), stored

    return make


RAS = np.diag([0.5, 0.75, 2.5, 1.0])
MIXED = np.array([[0, 0, -0.75, 9], [-0.5, 0, 0, 8], [0, 2.5, 0, 7], [0, 0, 0, 1.0]])
OBLIQUE = RAS @ np.array([[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
OBLIQUE[:2, :2] = np.array([[0.8, -0.6], [0.6, 0.8]]) * 0.5


@pytest.mark.parametrize("affine", [RAS, MIXED, OBLIQUE])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_nifti_on_the_grid_of_the_source(dataset, affine, ending, tmp_path):
    prepared, stored = dataset(affine)
    written = nibabel.load(export_volume(prepared, "P1/ct", tmp_path / f"new/a.{ending}"))
    assert (np.asanyarray(written.dataobj) == stored).all()
    assert written.get_data_dtype() == np.int16
    assert written.affine == pytest.approx(affine, abs=1e-6)
    assert written.get_qform() == pytest.approx(affine, abs=1e-5)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"a.{ending}"]


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
@pytest.mark.parametrize("affine", [RAS, MIXED, OBLIQUE])
def test_itk_on_the_grid_of_the_source(dataset, affine, ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    prepared, stored = dataset(affine)
    picture = sitk.ReadImage(str(export_volume(prepared, "P1/ct", tmp_path / f"a.{ending}")))
    assert (sitk.GetArrayFromImage(picture).transpose(2, 1, 0) == stored).all()
    grid = Geometry.from_itk(picture.GetSpacing(), picture.GetOrigin(), picture.GetDirection())
    assert grid.ras == pytest.approx(affine, abs=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_masks_of_missing_slices_are_empty(dataset, ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    prepared, stored = dataset(RAS, "lesion")
    assert sorted(prepared.cases["z"]) == [1, 2, 3]
    picture = sitk.ReadImage(str(export_volume(prepared, "P1/ct", tmp_path / f"a.{ending}", "mask", min_readers=2)))
    expected = (stored > -900) & (stored < 0)
    expected[:, :, 0] = False
    assert (sitk.GetArrayFromImage(picture).transpose(2, 1, 0) == expected).all()


def test_an_image_needs_every_slice(dataset, tmp_path):
    prepared, _ = dataset(RAS, "lesion")
    with pytest.raises(
        DatasetError, match=r"lacks 1 of its 4 slices \(z 0\), so its .* Import it with slices=all, or exp"
    ):
        export_volume(prepared, "P1/ct", tmp_path / "a.nii")
    assert list(tmp_path.glob("*.nii")) == []


def test_more_readers_than_there_are(dataset, tmp_path):
    prepared, _ = dataset(RAS)
    with pytest.raises(
        UsageError, match=r"2 reader\(s\) who drew, one, two, .*Received: min_readers = 3. Allowed: 1 to 2"
    ):
        export_volume(prepared, "P1/ct", tmp_path / "a.nii", "mask", min_readers=3)
    assert list(tmp_path.glob("*.nii")) == []


def test_nothing_is_replaced_unless_forced(dataset, tmp_path):
    prepared, _ = dataset(RAS)
    path = tmp_path / "a.nii"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export_volume(prepared, "P1/ct", path)
    assert path.read_text() == "mine"
    export_volume(prepared, "P1/ct", path, force=True)
    first = path.read_bytes()
    assert first != b"mine"
    export_volume(prepared, "P1/ct", path, force=True)
    assert path.read_bytes() == first
    with pytest.raises(UsageError, match="exists already"):
        export_volume(prepared, "P1/ct", _folder(tmp_path / "folder.nii"), force=True)


def _folder(path):
    path.mkdir()
    return path


def test_the_same_volume_gives_the_same_bytes(dataset, tmp_path):
    prepared, _ = dataset(RAS)
    one, two = (export_volume(prepared, "P1/ct", tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert one == two


def test_what_cannot_be_exported(dataset, tmp_path, make_slice, store):
    prepared, _ = dataset(RAS)
    with pytest.raises(UsageError, match=r"has no volume 'P1/cd'. Did you mean 'P1/ct'\? It has 1, such as P1/ct"):
        export_volume(prepared, "P1/cd", tmp_path / "a.nii")
    with pytest.raises(UsageError, match=re.escape("Allowed endings: .nii.gz, .nii, .mha, .nrrd")):
        export_volume(prepared, "P1/ct", tmp_path / "a.mhd")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write the volume"):
        export_volume(prepared, "P1/ct", tmp_path / "file" / "a.nii")


def test_a_volume_without_a_grid(store, make_slice, tmp_path):
    with pytest.raises(DatasetError, match=r"grid of 'A' is not known: it came from A-0.png, which has none"):
        export_volume(store([make_slice()]), "A", tmp_path / "a.nii")


def test_a_failed_write_leaves_nothing(dataset, tmp_path, monkeypatch):
    prepared, _ = dataset(RAS)
    monkeypatch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(StorageError, match="Free some space"):
        export_volume(prepared, "P1/ct", tmp_path / "out" / "a.nii")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_chest_phantom_comes_back_bit_for_bit(shared_dir, tmp_path):
    source = shared_dir / "data" / "ibsi_chest_phantom"
    import_dataset(READERS.get("folder")(source), "folder", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    for what, name in (("image", "phantom"), ("mask", "mask")):
        before = nibabel.load(source / f"{name}.nii.gz")
        after = nibabel.load(export_volume(dataset, "phantom", tmp_path / f"{what}.nii.gz", what))
        assert after.affine.tobytes() == before.affine.tobytes()
        stored = np.asanyarray(before.dataobj)
        assert np.asanyarray(after.dataobj).astype(stored.dtype).tobytes() == stored.tobytes()
        assert after.header.get_zooms() == before.header.get_zooms()


def test_a_damaged_grid(dataset, tmp_path):
    prepared, _ = dataset(RAS)
    info = prepared.volumes["P1/ct"]
    prepared.volumes["P1/ct"] = replace(info, shape_zyx=(2, 6, 5))
    with pytest.raises(DatasetError, match="do not fit its grid"):
        export_volume(prepared, "P1/ct", tmp_path / "a.nii")
