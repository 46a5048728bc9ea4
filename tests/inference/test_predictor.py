"""A model over the slices of a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import UsageError
from lungzoo.inference.batches import MemoryRanOut
from lungzoo.inference.ensemble import labels_of, mean_slices
from lungzoo.inference.predictor import Passes, Predictor, Region, open_predictor
from lungzoo.inference.volume import Volume
from lungzoo.models.assemble import build_model
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import WeightsManifest, write_manifest

WEIGHTS = "lungzoo:unet_mobilenetv2_035-lidc-v1"


def everywhere(volume: Volume) -> Region:
    depth, height, width = volume.image.shape
    return Region(np.ones(depth, bool), (slice(0, height), slice(0, width)))


def run(predictor: Predictor, volume: Volume, region: Region | None = None, **passes: Any) -> np.ndarray:
    answers = list(predictor.slices(volume, region or everywhere(volume), Passes(**passes)))
    assert [answer.row for answer in answers] == list(range(len(volume.image)))
    return np.stack([answer.probability for answer in answers])


@pytest.fixture
def bright(make_volume: Callable[..., Volume]) -> Volume:
    """Lung at -850 HU with a block of 60 HU in slices 3 to 5."""
    image = np.full((9, 40, 44), -850, np.int16)
    image[3:6, 10:20, 24:40] = 60
    return make_volume(image)


@pytest.mark.parametrize("view", [{}, {"in_slices": 3}, {"in_slices": 5, "is_3d": True}])
@pytest.mark.parametrize("passes", [{}, {"batch_size": 2}, {"tile_px": 32}, {"flips": True}])
def test_each_voxel_is_answered_in_its_place(
    make_predictor: Callable[..., Predictor], bright: Volume, view: dict[str, Any], passes: dict[str, Any]
) -> None:
    predictor = make_predictor(**view)
    assert np.array_equal(run(predictor, bright, **passes) >= 0.5, bright.image > 0)


def test_a_volume_of_fewer_slices_than_a_window(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    image = np.full((2, 33, 20), -850, np.int16)
    image[1, 4:9, 4:9] = 60
    assert np.array_equal(run(make_predictor(in_slices=7, is_3d=True), make_volume(image)) > 0.5, image > 0)


@pytest.mark.parametrize("data", [{"spacing_mm": 0.5}, {"size_px": 80}])
def test_answers_come_back_from_another_grid(
    make_predictor: Callable[..., Predictor], bright: Volume, data: dict[str, Any]
) -> None:
    found = run(make_predictor(level=0.64, protocol={"data": data}), bright) >= 0.5
    overlap = 2 * (found & (bright.image > 0)).sum() / (found.sum() + (bright.image > 0).sum())
    assert found.shape == bright.image.shape
    assert overlap > 0.9


def test_outside_of_the_region_nothing_is_looked_at(make_predictor: Callable[..., Predictor], bright: Volume) -> None:
    slices = np.zeros(9, bool)
    slices[4:8] = True
    found = run(make_predictor(), bright, Region(slices, (slice(0, 32), slice(0, 32)))) >= 0.5
    expected = np.zeros(bright.image.shape, bool)
    expected[4:6, 10:20, 24:32] = True
    assert np.array_equal(found, expected)


def test_no_slice_at_all(make_predictor: Callable[..., Predictor], bright: Volume) -> None:
    assert not run(make_predictor(), bright, Region(np.zeros(9, bool), (slice(0, 40), slice(0, 44)))).any()


def test_memory_that_runs_out_changes_nothing_but_the_pace(
    make_predictor: Callable[..., Predictor], bright: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, lines = make_predictor(), list[str]()
    predict_on_batch = predictor.model.predict_on_batch

    def limited(batch: np.ndarray) -> Any:
        if len(batch) > 3:
            raise MemoryError
        return predict_on_batch(batch)

    monkeypatch.setattr(predictor.model, "predict_on_batch", limited)
    assert np.array_equal(run(predictor, bright, tell=lines.append) >= 0.5, bright.image > 0)
    assert lines == ["Memory ran out; going on with batches of 2."]


def test_memory_that_runs_out_while_lungs_are_found_is_no_matter_of_batches(
    make_predictor: Callable[..., Predictor], bright: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lungzoo.data.preprocess import source

    asked: list[int] = []

    def lungs(images: np.ndarray) -> Any:
        asked.append(len(images))
        raise MemoryError("Unable to allocate 3 GiB")

    monkeypatch.setattr(source, "lung_fields", lungs)
    lines: list[str] = []
    predictor = make_predictor(protocol={"data": {"preprocess": ["lung_mask"]}})
    with pytest.raises(MemoryRanOut, match=r"3 GiB.*give the scan in parts of fewer slices"):
        run(predictor, bright, tell=lines.append)
    assert (asked, lines) == ([9], [])


def test_labels_come_with_their_slices(make_predictor: Callable[..., Predictor], bright: Volume) -> None:
    predictor = make_predictor(labels=("benign", "malignant"))
    answers = list(predictor.slices(bright, everywhere(bright), Passes()))
    chances = np.array([answer.labels for answer in answers])
    assert chances.sum(axis=1) == pytest.approx(1)
    assert (chances[3:6, 1] > 0.99).all()
    assert (chances[:3, 1] < chances[3, 1]).all()


def test_an_ensemble_is_the_mean(make_predictor: Callable[..., Predictor], bright: Volume) -> None:
    members = [make_predictor(level=0.9), make_predictor(level=0.95, protocol={"data": {"spacing_mm": 0.75}})]
    alone = [run(member, bright) for member in members]
    together = np.stack([a.probability for a in mean_slices(members, bright, everywhere(bright), Passes())])
    assert together == pytest.approx(np.mean(alone, axis=0), abs=1e-6)


def test_an_ensemble_needs_the_same_classes(make_predictor: Callable[..., Predictor]) -> None:
    one, other = make_predictor(labels=("a", "b")), make_predictor(labels=("b", "c"))
    assert labels_of([one, make_predictor()]) == ("a", "b")
    with pytest.raises(UsageError, match=r"must have the same classes\. Received: a, b; b, c\. Leave some"):
        labels_of([one, other])


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return open_predictor(WEIGHTS)


@pytest.mark.parametrize("side_px", [(7, 5), (64, 96)])
def test_shipped_weights_answer_as_the_network_does(
    shipped: Predictor, make_volume: Callable[..., Volume], side_px: tuple[int, int]
) -> None:
    """Smaller than the stride is padded in the network."""
    image = np.random.default_rng(0).integers(-1000, 200, (3, *side_px)).astype(np.int16)
    scaled = np.clip((image.astype(np.float32) + 1350) / 1500, 0, 1)
    logits = shipped.model.predict_on_batch(scaled[..., None])[..., 0]
    assert run(shipped, make_volume(image)) == pytest.approx(1 / (1 + np.exp(-np.asarray(logits))), abs=1e-4)


def written(folder: Path, **model: Any) -> Predictor:
    """Write random weights of a small network with their manifest, and open them."""
    sizes = {"encoder_options": {"width": 4}, "encoder_depth": 2, "decoder_channels": (8, 8), "decoder_convs": 1}
    config = ModelConfig.model_validate({**sizes, **model})
    sha256 = write_weights(build_model(config), folder / "a.npz")
    size = (folder / "a.npz").stat().st_size
    manifest = WeightsManifest(name="a", model=config, file="a.npz", sha256=sha256, size_bytes=size)
    write_manifest(manifest, folder / "a.toml")
    return open_predictor(folder)


def chances(predictor: Predictor, inputs: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(predictor.model.predict_on_batch(inputs))[..., 0]))


HU = np.random.default_rng(0).integers(-1000, 200, (5, 20, 24)).astype(np.int16)
SCALED = np.clip((HU.astype(np.float32) + 1350) / 1500, 0, 1)


def test_a_network_of_stacks_sees_each_slice_between_its_neighbours(
    make_volume: Callable[..., Volume], tmp_path: Path
) -> None:
    predictor = written(tmp_path, name="cnn_scratch", in_slices=3)
    assert not predictor.is_3d
    stacks = SCALED[[[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4]]].transpose(0, 2, 3, 1)
    assert run(predictor, make_volume(HU)) == pytest.approx(chances(predictor, stacks), abs=1e-5)


def test_a_network_of_volumes_is_slid_along_by_half_a_window(
    make_volume: Callable[..., Volume], tmp_path: Path
) -> None:
    """Windows around slices 0, 2 and 4, whose ends repeat; of five slices the middle counts 3, the outer ones 1."""
    predictor = written(tmp_path, name="unet3d", in_slices=5)
    assert predictor.is_3d
    windows = SCALED[[[0, 0, 0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4, 4, 4]]][..., None]
    first, middle, last = chances(predictor, windows)
    answer = run(predictor, make_volume(HU))
    assert answer[0] == pytest.approx((3 * first[2] + middle[0]) / 4, abs=1e-5)
    assert answer[1] == pytest.approx((2 * first[3] + 2 * middle[1]) / 4, abs=1e-5)
    assert answer[2] == pytest.approx((first[4] + 3 * middle[2] + last[0]) / 5, abs=1e-5)
