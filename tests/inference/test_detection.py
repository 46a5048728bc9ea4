"""Candidates of whole volumes, with lesions drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data.readers.folder import FolderReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import UsageError
from lungzoo.inference.detection import Detected, detect, summarise_detection
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.volume import Volume
from lungzoo.metrics.froc import Candidates


def test_a_volume(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume], save_nifti: Callable[..., Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Of voxels of 1.125 mm³: a lesion of 2 × 4 × 4 is found, one of 4 is missed, one candidate is false."""
    image = np.full((6, 32, 32), -850, np.int16)
    image[1:3, 5:9, 5:9] = image[4, 20:24, 20:24] = 60
    mask = np.zeros(image.shape, np.uint8)
    mask[1:3, 5:9, 5:9] = mask[5, 2:4, 28:30] = 1
    folder = tmp_path / "in" / "P1"
    folder.mkdir(parents=True)
    save_nifti(folder / "image.nii", make_volume(image))
    save_nifti(folder / "mask.nii", make_volume(mask))
    import_dataset(FolderReader(tmp_path / "in", {}), "folder", tmp_path / "data")
    dataset = PreparedDataset(tmp_path / "data")
    name = str(dataset.cases["volume"].iloc[0])
    found = detect([make_predictor(level=0.64)], dataset, name, Passes(), lungs=False, readers=1)
    assert sorted(found.candidates.lesion.tolist()) == [-1, 0]
    assert found.diameters_mm == pytest.approx([(32 * 1.125 * 6 / math.pi) ** (1 / 3), (4.5 * 6 / math.pi) ** (1 / 3)])
    assert found.found(0.5).tolist() == [True, False]
    assert found.false_positives(0.5) == 1


def test_a_volume_with_gaps_is_refused(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume], save_nifti: Callable[..., Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Slices on either side of a gap would be taken for neighbours, and their lesions for one."""
    mask = np.zeros((6, 32, 32), np.uint8)
    mask[1, 5:9, 5:9] = mask[4, 5:9, 5:9] = 1
    image = np.where(mask, 60, -850).astype(np.int16)
    folder = tmp_path / "in" / "P1"
    folder.mkdir(parents=True)
    save_nifti(folder / "image.nii", make_volume(image))
    save_nifti(folder / "mask.nii", make_volume(mask))
    import_dataset(FolderReader(tmp_path / "in", {"slices": "lesion"}), "folder", tmp_path / "data")
    dataset = PreparedDataset(tmp_path / "data")
    name = str(dataset.cases["volume"].iloc[0])
    with pytest.raises(UsageError, match=rf"has 2 of the 6 slices of '{name}'.* Import it with all its slices"):
        detect([make_predictor()], dataset, name, Passes(), lungs=False, readers=1)


def volume(patient: str, score: list[float], lesion: list[int], diameters: list[float]) -> Detected:
    candidates = Candidates(np.array(score), np.array(lesion, int), len(diameters))
    return Detected(f"{patient}-scan", patient, candidates, np.array(diameters))


def test_volumes_together() -> None:
    """Of 4 lesions 2 are found from 0.5 on, 3 from 0.2; one volume has no lesion, and a false positive at 0.9."""
    volumes = [
        volume("A", [0.8, 0.3], [0, -1], [5.0, 9.0]),
        volume("B", [0.6, 0.2], [0, 1], [7.0, 20.0]),
        volume("C", [0.9], [-1], []),
    ]
    found = summarise_detection(volumes, 0.5, draws=200)
    assert (found.curve.scans, found.curve.lesions, found.curve.candidates) == (3, 4, 5)
    assert (found.sensitivity.mean, found.sensitivity.cases, found.sensitivity.patients) == (0.5, 4, 2)
    assert (found.false_positives.mean, found.false_positives.patients) == (pytest.approx(1 / 3), 3)
    assert 0 <= found.sensitivity.low <= found.sensitivity.high <= 1  # two patients alone would give ends beyond
    assert 0 <= found.false_positives.low <= found.false_positives.high
    sizes = {ends: interval.mean for ends, interval in found.by_size.items()}
    assert sizes == {(0.0, 6.0): 1.0, (6.0, 8.0): 1.0, (8.0, 15.0): 0.0, (15.0, 30.0): 0.0}
    assert found.curve.sensitivity_at(8.0) == 0.75
    assert 0 <= found.score_low <= found.curve.score <= found.score_high <= 1


def test_one_patient_has_no_interval() -> None:
    found = summarise_detection([volume("A", [0.8], [0], [5.0])], 0.5, draws=100)
    assert found.sensitivity.mean == 1.0
    assert math.isnan(found.score_low)
    assert math.isnan(found.sensitivity.low)
    with pytest.raises(UsageError, match="There is no volume to look at"):
        summarise_detection([], 0.5)
