"""One scan from reading to lesions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.content import content_dir
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError, StorageError, UsageError
from lungzoo.inference import many
from lungzoo.inference.batches import MemoryRanOut
from lungzoo.inference.inputs import Input, Reading, find_inputs
from lungzoo.inference.many import predict_all
from lungzoo.inference.members import open_members
from lungzoo.inference.outputs import Plan
from lungzoo.inference.predict import Settings, predict_scan, region_of
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.volume import Volume
from lungzoo.weights.manifest import TrainedOn


def scan(volume: Volume) -> Input:
    return Input("scan", Path("scan"), True, False, lambda: volume)


def test_the_region_is_the_slices_of_the_lungs_and_a_box_around_them() -> None:
    lungs = np.zeros((5, 300, 400), bool)
    lungs[1:3, 120:180, 200:330] = True
    region = region_of(lungs, lungs.shape)
    assert region.slices.tolist() == [False, True, True, False, False]
    assert region.box == (slice(32, 256), slice(128, 400))  # 64 pixels more, out to a multiple of 32, and no further
    assert region_of(None, lungs.shape).slices.all()
    assert not region_of(np.zeros_like(lungs), lungs.shape).slices.any()


def test_only_what_lies_in_the_lungs_counts(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    """A nodule in a lung is found; one in front of the body, and the body itself, are not."""
    side = 160
    y, x = np.mgrid[:side, :side] / side - 0.5
    image = np.full((8, side, side), -1000, np.int16)
    image[:, (x / 0.42) ** 2 + (y / 0.32) ** 2 < 1] = 40
    for centre in (-0.2, 0.2):
        image[:, ((x - centre) / 0.13) ** 2 + (y / 0.2) ** 2 < 1] = -850
    image[3:5, 76:84, 44:52] = 100
    image[3:5, 10:18, 76:84] = 100
    found = scan(make_volume(image))
    predictor = make_predictor(level=0.96)
    both = predict_scan(found, [predictor], Settings())
    assert [lesion.voxels for lesion in both.lesions] == [128, 128]
    result = predict_scan(found, [predictor], Settings(changes={"lungs": True}))
    assert [lesion.voxels for lesion in result.lesions] == [128]
    assert result.lesions[0].centroid_zyx == pytest.approx((3.5, 79.5, 47.5))


def test_the_manifest_says_what_is_done_unless_told_otherwise(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    image = np.full((2, 32, 32), -850, np.int16)
    image[0, 4, 4] = image[0, 10:14, 10:14] = 60
    predictor = make_predictor(level=0.64, protocol={"postprocess": {"largest": 1}, "score": {"threshold": 0.4}})
    result = predict_scan(scan(make_volume(image)), [predictor], Settings())
    assert (len(result.lesions), result.threshold) == (1, 0.4)
    result = predict_scan(scan(make_volume(image)), [predictor], Settings(0.6, {"largest": 9}))
    assert (len(result.lesions), result.threshold) == (2, 0.6)


def test_slices_that_a_dataset_lacks_are_empty(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume], save_nifti: Callable[..., Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A volume of six slices of which those with a lesion and one on either side were imported."""
    from lungzoo.data.readers.folder import FolderReader

    image = np.full((6, 32, 32), -850, np.int16)
    image[2, 5:9, 5:9] = image[5, 20:24, 20:24] = 60
    mask = np.zeros(image.shape, np.uint8)
    mask[2, 5:9, 5:9] = 1
    (tmp_path / "in" / "P1").mkdir(parents=True)
    save_nifti(tmp_path / "in" / "P1" / "image.nii", make_volume(image, source_code="RAS"))
    save_nifti(tmp_path / "in" / "P1" / "mask.nii", make_volume(mask, source_code="RAS"))
    import_dataset(FolderReader(tmp_path / "in", {"slices": "lesion+1"}), "folder", tmp_path / "data")
    assert len(PreparedDataset(tmp_path / "data")) == 3
    (found,) = find_inputs([tmp_path / "data"], Reading())
    result = predict_scan(found, [make_predictor(level=0.64)], Settings())
    assert np.array_equal(result.mask, mask)
    assert result.lesions[0].centroid_mm == pytest.approx((-100 + 6.5 * 0.75, -80 + 6.5 * 0.75, -296))
    assert "3 of 6 slices are not in the dataset" in result.volume.notes[0]
    assert result.source_mask().shape == (32, 32, 6)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -3])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(UsageError, match=r"The threshold must lie between 0 and 1\. Received: "):
        Settings(threshold)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_step_that_cannot_be_taken(value: float) -> None:
    with pytest.raises(ConfigError, match=r"Steps after the network: min_volume_mm3: "):
        Settings(changes={"min_volume_mm3": value})


def test_without_a_pair_of_lungs_it_is_said_that_lesions_count_everywhere(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    image = np.full((1, 32, 32), -850, np.int16)
    image[0, 4, 4] = 60
    result = predict_scan(scan(make_volume(image)), [make_predictor(level=0.64)], Settings(changes={"lungs": True}))
    assert result.mask.sum() == 1
    assert result.volume.notes == ("no pair of lungs was found, so lesions count everywhere",)


def test_a_scan_that_does_not_fit_the_memory_does_not_keep_the_others_from_being_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(found: Input, *_: Any) -> str:
        if found.name == "large":
            raise MemoryRanOut("Memory ran out on a single input of 9×9.")
        return found.name

    monkeypatch.setattr(many, "predict_scan", run)
    monkeypatch.setattr(Plan, "write", lambda plan, result: None)
    plans = [Plan(Input(name, Path(name), True, False, pytest.fail), (), False) for name in ("large", "small")]
    written: list[Any] = []

    def done(plan: Plan, result: Any) -> None:
        written.append(result)

    with pytest.raises(DatasetError, match=r"(?s)1 of 2 scans could not be .*large: Memory ran out on a single input"):
        predict_all(plans, [], Settings(), lambda: nullcontext(print), done)
    assert written == ["small"]
    with pytest.raises(DatasetError, match=r"2 of 2 scans could not be predicted\.\n"):
        predict_all([plans[0], plans[0]], [], Settings(), lambda: nullcontext(print), done)
    with pytest.raises(MemoryRanOut):
        predict_all(plans[:1], [], Settings(), lambda: nullcontext(print), done)


def test_what_went_wrong_before_is_told_with_what_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has appeared meanwhile ends its scan alone; a full disk ends all, and what came before is told."""
    faults = {"one": DatasetError("one: no HU."), "two": UsageError("b exists."), "three": StorageError("Disk full.")}

    def write(plan: Plan, result: Any) -> None:
        if plan.scan.name in faults:
            raise faults[plan.scan.name]

    monkeypatch.setattr(many, "predict_scan", lambda found, *_: found.name)
    monkeypatch.setattr(Plan, "write", write)
    plans = [Plan(Input(name, Path(name), True, False, pytest.fail), (), False) for name in (*faults, "four")]
    written: list[Any] = []

    def predict(*which: int) -> None:
        chosen = [plans[number] for number in which]
        predict_all(chosen, [], Settings(), lambda: nullcontext(print), lambda _, result: written.append(result))

    with pytest.raises(StorageError) as told:
        predict(0, 1, 2, 3)
    assert str(told.value) == "Disk full.\nBefore that:\n  one: no HU.\n  two: b exists."
    with pytest.raises(DatasetError, match=r"(?s)^2 of 3 scans could not be predicted; the others are .*two: b "):
        predict(0, 1, 3)
    assert written == ["four"]
    with pytest.raises(DatasetError, match=r"^two: b exists\.$"):
        predict(1)
    with pytest.raises(StorageError, match=r"^Disk full\.$"):
        predict(2)


def test_memory_may_run_out_wherever_a_scan_is_put_together(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy refuses the first scan as it is read, and the second when its mask is made; the third is predicted."""
    small = make_volume(np.full((1, 32, 32), -850, np.int16))
    wide = np.broadcast_to(np.int16(-850), (1 << 20, 1 << 20, 1 << 15))  # a view of one number
    loads = {
        "read": lambda: make_volume(np.empty(wide.shape, np.int16)),
        "mask": lambda: replace(small, image=wide),
        "small": lambda: small,
    }
    written: list[str] = []
    monkeypatch.setattr(Plan, "write", lambda plan, result: written.append(plan.scan.name))
    plans = [Plan(Input(name, Path(name), True, False, load), (), False) for name, load in loads.items()]
    with pytest.raises(DatasetError, match=r"2 of 3 scans could not be predicted; the others are written\.") as told:
        predict_all(plans, [make_predictor()], Settings(), lambda: nullcontext(lambda *_: None), lambda *_: None)
    lines = str(told.value).splitlines()[1:]
    assert [line.partition(" (Unable to allocate ")[0] for line in lines] == [
        "  read: Memory ran out", "  mask: Memory ran out"
    ]  # fmt: skip
    assert written == ["small"]


def test_volumes_need_a_spacing(make_predictor: Callable[..., Predictor]) -> None:
    volume = Volume(np.zeros((1, 32, 32), np.uint8), "uint8", np.arange(1), (1, 32, 32))
    with pytest.raises(DatasetError, match=r"its spacing is unknown.* Leave --min-volume-mm3 out"):
        predict_scan(scan(volume), [make_predictor()], Settings(changes={"min_volume_mm3": 3.0}))


def test_what_only_the_weights_ask_for_is_left_out_without_a_spacing(make_predictor: Callable[..., Predictor]) -> None:
    image = np.zeros((1, 32, 32), np.uint8)
    image[0, 4, 4] = 255
    volume = Volume(image, "uint8", np.arange(1), (1, 32, 32))
    predictor = make_predictor(protocol={"postprocess": {"min_area_mm2": 9.0, "min_volume_mm3": 9.0}})
    result = predict_scan(scan(volume), [predictor], Settings())
    assert result.mask.sum() == 1
    assert not result.postprocess.min_area_mm2
    assert result.volume.notes[1] == "its spacing is unknown, so min_area_mm2 = 9 of the weights is left out"


@pytest.mark.parametrize(
    ("slice_px", "data", "changes", "told"),
    [
        ((128, 128), {}, {}, True),
        ((128, 128), {}, {"lungs": True}, False),
        ((192, 192), {}, {}, False),  # less than half as many again to either side
        ((512, 512), {"size_px": 128}, {}, True),  # crops of whole slices
        ((128, 128), {"spacing_mm": 1.0}, {}, False),  # lengths count, not pixels
        (None, {}, {}, False),
    ],
)
def test_slices_much_larger_than_those_of_training_are_noted(
    make_predictor: Callable[..., Predictor],
    make_volume: Callable[..., Volume],
    slice_px: Any,
    data: dict[str, Any],
    changes: dict[str, Any],
    told: bool,
) -> None:
    predictor = make_predictor(protocol={"data": data})
    about = TrainedOn(dataset="crops", slice_px=slice_px)
    predictor = replace(predictor, manifest=predictor.manifest.model_copy(update={"trained_on": about}))
    volume = make_volume(np.full((2, 256, 256), -850, np.int16))
    notes = predict_scan(scan(volume), [predictor], Settings(changes=changes)).volume.notes
    expected = (
        "'hand-made' was trained on slices of 128×128 pixels; in these of 256×256 it also marks what only looks like a "
        "lesion: see --lungs and --min-volume-mm3"
    )
    assert (expected in notes) == told


def test_the_manifest_says_whether_mirror_images_are_averaged(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    found, predictor = (
        scan(make_volume(np.zeros((1, 32, 32), np.int16))),
        make_predictor(protocol={"predict": {"flips": True}}),
    )
    assert predict_scan(found, [predictor], Settings()).flips
    assert not predict_scan(found, [predictor], Settings(passes=Passes(flips=False))).flips
    assert not predict_scan(found, [make_predictor()], Settings()).flips
    assert predict_scan(found, [make_predictor()], Settings(passes=Passes(flips=True))).flips


def test_weights_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from lungzoo.tracking import mlflow_tracker

    name, folders = "unet_mobilenetv2_035-lidc-v1", list[Path]()

    class Tracker:
        def __init__(self, experiment: str) -> None:
            assert experiment == "train"

        def find_run(self, run: str) -> str:
            return f"{run}-whole"

        def weights(self, run_id: str, folder: Path) -> Path:
            assert run_id == "3f2-whole"
            folders.append(folder)
            (folder / "weights").mkdir()
            for ending in (".npz", ".toml"):
                shutil.copy(content_dir("weights") / (name + ending), folder / "weights")
            return folder / "weights"

    monkeypatch.setattr(mlflow_tracker, "MlflowTracker", Tracker)
    with open_members(["run:3f2"]) as members:
        found: Any = members[0].manifest
        assert found.name == name
    assert not folders[0].exists()
