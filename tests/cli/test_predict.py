"""`lungzoo predict` as a person meets it, with the weights that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.config import PhantomConfig
from lungzoo.content import content_dir
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, DatasetError, LungzooError, UsageError, WeightsUnavailable

WEIGHTS = "lungzoo:unet_mobilenetv2_035-lidc-v1"
NAME = WEIGHTS.removeprefix("lungzoo:")


def predict(*arguments: Any, weights: Any = WEIGHTS) -> str:
    command = ["predict", *map(str, arguments), "--weights", str(weights)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient of the phantom as a NIfTI file: 8 slices of 96×96 pixels."""
    import nibabel

    item = PhantomReader(PhantomConfig(patients=3, slices_per_patient=8, size_px=96)).patient(0)
    hu = np.stack([each.image for each in item])
    z_mm, y_mm, x_mm = item[0].case.spacing_mm
    path = tmp_path_factory.mktemp("scan") / "P1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.diag([-x_mm, -y_mm, z_mm, 1.0])), path)
    return path


def test_every_kind_of_file_of_one_pass(scan: Path, tmp_path: Path) -> None:
    import nibabel

    outputs = [tmp_path / name for name in ("a.nii.gz", "a.nrrd", "a.json", "a.png")]
    text = predict(scan, *(part for path in outputs for part in ("-o", path)))
    assert text.startswith("P1: ")
    assert all(str(path) in text for path in outputs)
    report = json.loads((tmp_path / "a.json").read_text())
    mask = nibabel.load(tmp_path / "a.nii.gz")
    assert np.asarray(mask.dataobj).sum() == sum(lesion["voxels"] for lesion in report["lesions"]) > 0
    assert np.array_equal(mask.affine, nibabel.load(scan).affine)
    assert report["made_with"]["weights"][0]["name"] == NAME
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in outputs)


def test_each_step_after_the_model_can_be_asked_for(scan: Path, tmp_path: Path) -> None:
    steps = ("--lungs", "--fill-holes", "--min-volume-mm3", 60, "--largest", 2, "--threshold", 0.3, "--tta")
    predict(scan, "-o", tmp_path / "a.json", *steps, "--batch-size", 3)
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["made_with"]["postprocess"] == {
        "lungs": True, "fill_holes": True, "min_volume_mm3": 60.0, "largest": 2, "min_area_mm2": 0.0,
        "largest_per_slice": None,
    }  # fmt: skip
    assert (report["made_with"]["threshold"], report["made_with"]["flips"]) == (0.3, True)
    assert len(report["lesions"]) <= 2
    assert all(lesion["volume_mm3"] >= 60 for lesion in report["lesions"])


def test_a_dataset_fills_a_folder_and_weights_load_once(
    phantom: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lungzoo.models import load as loading

    loaded: list[str] = []
    load = loading.load_resolved
    monkeypatch.setattr(
        loading, "load_resolved", lambda manifest, file: loaded.append(manifest.name) or load(manifest, file)
    )
    text = predict(phantom.path, "-o", tmp_path / "out", "--format", "json")
    assert text.count("Wrote") == 12
    assert len(list((tmp_path / "out").glob("PHANTOM-*.json"))) == 12
    assert loaded == [NAME]


def test_an_ensemble_with_itself_changes_nothing(scan: Path, tmp_path: Path) -> None:
    predict(scan, "-o", tmp_path / "one.json")
    predict(scan, "-o", tmp_path / "two.json", "--weights", WEIGHTS)
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert one["lesions"] == two["lesions"]
    assert len(two["made_with"]["weights"]) == 2


def test_weights_from_a_folder_whose_manifest_names_steps(scan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for ending in (".npz", ".toml"):
        shutil.copy(content_dir("weights") / (NAME + ending), folder)
    manifest = folder / f"{NAME}.toml"
    manifest.write_text(manifest.read_text() + "\n[protocol.postprocess]\nmin_volume_mm3 = 100.0\nlargest = 1\n")
    predict(scan, "-o", tmp_path / "a.json", weights=folder)
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["made_with"]["postprocess"]["largest"] == 1
    assert len(report["lesions"]) <= 1
    predict(scan, "-o", tmp_path / "b.json", "--largest", 5, weights=folder)
    assert json.loads((tmp_path / "b.json").read_text())["made_with"]["postprocess"]["largest"] == 5


def test_an_output_that_exists_stays_unless_forced(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UsageError, match=r"a\.json exists already\. .*--force"):
        predict(scan, "-o", tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text() == "mine"
    predict(scan, "-o", tmp_path / "a.json", "--force")
    assert json.loads((tmp_path / "a.json").read_text())["lesions"]


def hostile(folder: Path, name: str) -> Path:
    """Write a file that would leave a trace if anything of it were run."""
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (folder / "trace",)

    path = folder / name
    if name.endswith(".npz"):
        np.savez(path, a=np.array([Trap()], dtype=object))
    else:
        path.write_bytes(pickle.dumps(Trap()))
    return path


@pytest.mark.parametrize(
    "name",
    ["a.keras", "a.h5", "a.hdf5", "a.pb", "a.pkl", "a.pt", "a.pth", "a.ckpt", "a.onnx", "a.zip", "a.joblib", "a.npz"],
)
def test_hostile_weights_are_not_opened(scan: Path, tmp_path: Path, name: str) -> None:
    path = hostile(tmp_path, name)
    with pytest.raises((UsageError, WeightsUnavailable)):
        predict(scan, "-o", tmp_path / "a.json", weights=path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_hostile_file_in_the_place_of_weights_fails_its_hash(scan: Path, tmp_path: Path) -> None:
    manifest = (content_dir("weights") / f"{NAME}.toml").read_text()
    (tmp_path / f"{NAME}.toml").write_text(manifest)
    hostile(tmp_path, f"{NAME}.npz")
    with pytest.raises(WeightsUnavailable, match="is not the file that its manifest describes"):
        predict(scan, "-o", tmp_path / "a.json", weights=tmp_path / f"{NAME}.npz")
    assert not (tmp_path / "trace").exists()


def test_a_manifest_cannot_lead_to_a_file_elsewhere(scan: Path, tmp_path: Path) -> None:
    manifest = (content_dir("weights") / f"{NAME}.toml").read_text()
    (tmp_path / "a.toml").write_text(manifest.replace(f'file = "{NAME}.npz"', 'file = "../../etc/a.npz"'))
    with pytest.raises(ConfigError, match="file: String should match pattern"):
        predict(scan, "-o", tmp_path / "a.json", weights=tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("gone.nii.gz", UsageError, r"No file or folder at '.*gone\.nii\.gz'\. Give a folder or zip of DICOM"),
        ("sixteen.png", DatasetError, r"sixteen\.png: its pixels are uint16, .*--hu-offset -1024"),
        ("text.txt", UsageError, r"lungzoo predict does not read 'text\.txt'"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    scan: Path, tmp_path: Path, name: str, kind: type[LungzooError], text: str
) -> None:
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    (inputs / "text.txt").write_text("no scan")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(inputs / "sixteen.png")
    with pytest.raises(kind, match=text):
        predict(scan, inputs / name, "-o", outputs, "--format", "json")
    assert not outputs.exists()


def test_a_scan_that_is_cut_off_does_not_keep_the_others_from_being_written(scan: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "out"
    (tmp_path / "cut.nii.gz").write_bytes(scan.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"(?s)1 of 2 scans could not be .*cut\.nii\.gz: it does not inflate"):
        predict(tmp_path / "cut.nii.gz", scan, "-o", outputs, "--format", "json")
    assert [path.name for path in outputs.iterdir()] == ["P1.json"]
    with pytest.raises(DatasetError, match=r"cut\.nii\.gz: it does not inflate"):
        predict(tmp_path / "cut.nii.gz", "-o", tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_picture_smaller_than_the_stride(tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 9), 100, np.uint8)).save(tmp_path / "a.png")
    predict(tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert np.asarray(Image.open(tmp_path / "b.png")).shape == (5, 9, 3)


@pytest.mark.slow
def test_the_nsclc_scan_comes_back_on_its_own_grid(shared_dir: Path, tmp_path: Path) -> None:
    """134 slices from the zip; read by pydicom, highdicom and SimpleITK alone."""
    import zipfile

    import pydicom

    highdicom, sitk = pytest.importorskip("highdicom"), pytest.importorskip("SimpleITK")
    source = shared_dir / "data" / "nsclc_lung1_001_dicom.zip"
    outputs = [tmp_path / name for name in ("seg.nii.gz", "seg.dcm")]
    predict(source, *(part for path in outputs for part in ("-o", path)), "--lungs")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "scan")
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in (tmp_path / "scan").rglob("*.dcm")]
    images = sorted((each for each in images if each.Modality == "CT"), key=lambda each: each.ImagePositionPatient[2])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([each.filename for each in images])
    scan, mask = reader.Execute(), sitk.ReadImage(str(outputs[0]))
    assert (mask.GetSize(), mask.GetDirection()) == (scan.GetSize(), scan.GetDirection())
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin(), abs=1e-3)
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing(), abs=1e-5)
    seg = highdicom.seg.segread(outputs[1])
    uids = [each.SOPInstanceUID for each in images]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], sitk.GetArrayFromImage(mask))
    assert pixels.any()
