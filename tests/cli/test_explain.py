"""`lungzoo explain` as a person meets it, with the weights that ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungzoo.cli import app
from lungzoo.config import PhantomConfig
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, UnknownNameError, UsageError

WEIGHTS = "lungzoo:unet_mobilenetv2_035-lidc-v1"


def explain(*arguments: Any, weights: tuple[str, ...] = (WEIGHTS,)) -> str:
    given = [part for name in weights for part in ("--weights", name)]
    result = CliRunner().invoke(app, ["explain", *map(str, arguments), *given], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True, scope="module")
def loaded_once() -> Iterator[None]:
    """Build the network once for all tests; it takes seconds."""
    from lungzoo.models import load as loading

    load, models = loading.load_resolved, {}

    def cached(manifest: Any, file: Path) -> Any:
        if manifest.name not in models:
            models[manifest.name] = load(manifest, file)
        return models[manifest.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_resolved", cached)
        yield


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient of the phantom as a NIfTI file, 4 slices of 75×96 pixels; x grows to the right."""
    import nibabel

    item = PhantomReader(PhantomConfig(patients=3, slices_per_patient=4, size_px=96)).patient(0)
    hu = np.stack([each.image for each in item])[:, :75]
    z_mm, y_mm, x_mm = item[0].case.spacing_mm
    path = tmp_path_factory.mktemp("scan") / "P1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.diag([x_mm, -y_mm, z_mm, 1.0])), path)
    return path


def test_a_picture_an_array_and_a_volume_of_one_map(scan: Path, tmp_path: Path) -> None:
    import nibabel

    outputs = [tmp_path / name for name in ("a.png", "a.npy", "a.nii.gz")]
    text = explain(scan, *(part for path in (*outputs, outputs[0]) for part in ("-o", path)), "--level", "P3")
    assert text.startswith("P1: Seg-HiResCAM, level P3: the predicted mask, slice ")
    assert sorted(tmp_path.iterdir()) == sorted(outputs)
    values, volume = np.load(outputs[1]), nibabel.load(outputs[2])
    assert (values.shape, values.dtype, volume.shape) == ((75, 96), np.float32, (96, 75, 4))
    assert np.array_equal(volume.affine, nibabel.load(scan).affine)
    z = int(text.split("slice ")[1].split(".")[0])
    kept = np.asarray(volume.dataobj)
    assert np.flatnonzero(kept.any(axis=(0, 1))).tolist() == [z]
    # The patient's left is to the right of a slice as lungzoo has it; this file counts from there.
    assert np.array_equal(kept[::-1, :, z].T, values)
    with Image.open(outputs[0]) as picture:
        assert min(picture.size) > 400


def test_a_place_without_a_lesion_a_class_and_an_ensemble(scan: Path, tmp_path: Path) -> None:
    text = explain(scan, "-o", tmp_path / "a.npy", "-m", "occlusion", "--at", "0,3,5", "--set", "reach=8px")
    assert "occlusion by 16×16 px every 8×8 px: the pixel at y 3, x 5, no lesion, slice 0" in text
    assert np.isnan(np.load(tmp_path / "a.npy")[-1, -1])
    measure = ("--set", "measure=mutual-information", "--slice", 2)
    text = explain(scan, "-o", tmp_path / "b.npy", "-m", "uncertainty", *measure, weights=(WEIGHTS, WEIGHTS))
    assert "uncertainty over 2 models, slice 2" in text
    assert np.load(tmp_path / "b.npy").max() < 1e-6


@pytest.mark.parametrize("command", [["explain", "-m", "flip-uncertainty"], ["predict"]])
def test_notes_on_the_scan_are_told(scan: Path, tmp_path: Path, command: list[str]) -> None:
    import nibabel

    picture = nibabel.load(scan)
    elsewhere = picture.affine.copy()
    elsewhere[0, 3] += 17
    picture.set_qform(elsewhere, 1)
    nibabel.save(picture, tmp_path / "P1.nii")
    arguments = [str(tmp_path / "P1.nii"), "-o", str(tmp_path / "a.png"), "-w", WEIGHTS]
    result = CliRunner().invoke(app, [*command, *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "Note: its sform and qform disagree; its sform was taken\n" in result.stderr
    assert result.stdout.startswith("P1: ")


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("-o", "{out}/a.gif"), UsageError, r"Cannot write an explanation to 'a\.gif'\. Allowed endings: \.png"),
        (("-o", "{out}/kept.png"), UsageError, r"kept\.png exists already\. .*--force"),
        (("-o", "{out}/a.png", "-m", "grad_cam"), UnknownNameError, r"Unknown explanation 'grad_cam'\. Did you mean"),
        (("-o", "{out}/a.png", "--set", "patch=8mm"), ConfigError, r"Unknown key 'patch'\..* Allowed: level\."),
        (("-o", "{out}/a.png", "--at", "3,4"), UsageError, r"--at takes a voxel as Z,Y,X.* Received: '3,4'"),
        (
            ("-o", "{out}/a.png", "--slice", "0", "--threshold", "0.999"),
            UsageError,
            r"No lesion is predicted in (slice 0.*, another slice|any slice.*Z,Y,X, or)",
        ),
        (("-o", "{out}/a.png", "--level", "P9"), UnknownNameError, r"Unknown level of the encoder 'P9'"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    scan: Path, tmp_path: Path, arguments: tuple[str, ...], kind: type[Exception], text: str
) -> None:
    (tmp_path / "kept.png").write_text("mine")
    with pytest.raises(kind, match=text):
        explain(scan, *(part.format(out=tmp_path) for part in arguments))
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]
    assert (tmp_path / "kept.png").read_text() == "mine"


def test_one_volume_of_a_dataset_is_named(phantom: PreparedDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There are 12 volumes, .*--volume\. Allowed: PHANTOM-0001, .* and 7 more"):
        explain(phantom.path, "-o", tmp_path / "a.npy")
    with pytest.raises(UsageError, match=r"Unknown volume 'PHANTOM-001'\. Did you mean"):
        explain(phantom.path, "-o", tmp_path / "a.npy", "--volume", "PHANTOM-001")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-o", "a.html", "--explain", "occlusion"), r"--explain puts maps on the HTML page\. Give .* --data DIR"),
        (("-o", "a.md", "--explain", "occlusion", "--data", "d"), r"--explain puts maps on the HTML page"),
        (("-o", "a.html", "--data", "d"), r"--data is for --explain METHOD"),
    ],
)
def test_maps_of_a_report_need_a_page_and_a_dataset(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        CliRunner().invoke(app, ["bench", "report", "quick", *arguments], catch_exceptions=False)
