"""Which slice and which pixels are explained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.explain.run import explain_scan
from lungzoo.explain.target import Target, find_place
from lungzoo.inference.batches import MemoryRanOut
from lungzoo.inference.inputs import Input
from lungzoo.inference.lesions import measure_lesions
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.predict import Settings
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume


@pytest.fixture
def result() -> Result:
    """Five slices; lesion 1 lies in slices 2 and 3, longer in 3; lesion 2 in slice 3, lesion 3 in slice 0."""
    mask = np.zeros((5, 12, 12), np.uint8)
    mask[2, 2:4, 2:4] = mask[3, 2:4, 2:7] = 1
    mask[3, 9:11, 9:11] = 1
    mask[0, 0, 0:2] = 1
    volume = Volume(np.zeros(mask.shape, np.uint8), "uint8", np.arange(5), mask.shape)
    lesions = measure_lesions(mask, mask.astype(float), (1.0, 1.0, 1.0))
    return Result(Path("scan"), volume, mask, lesions, (), (), 0.5, PostprocessConfig())


def test_by_default_all_that_is_marked_in_the_slice_of_the_largest_lesion(result: Result) -> None:
    place = find_place(result, Target())
    assert (place.z, place.row, int(place.region.sum()), place.words) == (3, 3, 14, "the predicted mask")


def test_a_lesion_alone_in_its_longest_slice_or_in_another(result: Result) -> None:
    assert int(find_place(result, Target(lesion=1)).region.sum()) == 10
    second = find_place(result, Target(lesion=2))
    assert (second.z, int(second.region.sum()), second.words) == (3, 4, "lesion 2")
    assert (second.region[9:11, 9:11]).all()
    assert int(find_place(result, Target(lesion=1, slice_z=2)).region.sum()) == 4
    assert find_place(result, Target(lesion=3)).z == 0


def test_a_voxel_means_its_lesion_or_itself(result: Result) -> None:
    assert int(find_place(result, Target(at_zyx=(3, 3, 6))).region.sum()) == 10
    alone = find_place(result, Target(at_zyx=(4, 7, 8)))
    assert np.argwhere(alone.region).tolist() == [[7, 8]]
    assert alone.words == "the pixel at y 7, x 8, no lesion"


def test_a_slice_without_a_lesion_has_an_empty_region(result: Result) -> None:
    place = find_place(result, Target(slice_z=4))
    assert (place.z, place.region.any()) == (4, False)
    none = replace(result, mask=np.zeros_like(result.mask), lesions=[])
    assert find_place(none, Target()).z == 2


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"lesion": 4}, r"No lesion 4\. Allowed: 1 to 3\..*--at"),
        ({"lesion": 2, "slice_z": 2}, r"Lesion 2 is not in slice 2\. Allowed: slices 3 to 3"),
        ({"slice_z": 5}, r"There is no slice 5\. Allowed: 0 to 4\."),
        ({"at_zyx": (0, 12, 0)}, r"There is no y 12\. Allowed: 0 to 11\."),
        ({"at_zyx": (0, 1, 0), "lesion": 1}, r"--at names a slice and a place of its own"),
    ],
)
def test_what_is_not_there_is_told(result: Result, target: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        find_place(result, Target(**target))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(slice_z=9), r"There is no slice 9\. Allowed: 0 to 4\."),
        (Target(at_zyx=(0, 1, 40)), r"There is no x 40\. Allowed: 0 to 11\."),
        (Target(slice_z=0), r"Slice 0 is not in the dataset\. Allowed: some of 1 to 3\."),
    ],
)
def test_a_slice_that_is_not_there_is_told_before_the_scan_is_predicted(
    result: Result, bright: Predictor, target: Target, text: str
) -> None:
    class Untouched:
        def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
            raise AssertionError

    part = replace(result.volume, image=result.volume.image[1:4], z=np.arange(1, 4))
    scan = Input("scan", Path("scan"), False, False, lambda: part)
    with pytest.raises(UsageError, match=text):
        explain_scan(scan, [replace(bright, model=Untouched())], "occlusion", {}, target, Settings())


def test_memory_that_runs_out_while_the_scan_is_read_is_named(bright: Predictor) -> None:
    def load() -> Volume:
        raise MemoryError("Unable to allocate 64.0 GiB.")

    scan = Input("scan", Path("scan"), False, False, load)
    with pytest.raises(MemoryRanOut, match=r"Memory ran out \(Unable to allocate 64.0 GiB\)\. Free some memory"):
        explain_scan(scan, [bright], "occlusion", {}, Target(), Settings())


def test_slices_that_a_dataset_lacks(result: Result) -> None:
    part = replace(result.volume, image=result.volume.image[1:4], z=np.arange(1, 4))
    assert find_place(replace(result, volume=part), Target()).row == 2
    with pytest.raises(UsageError, match=r"Slice 0 is not in the dataset\. Allowed: some of 1 to 3\."):
        find_place(replace(result, volume=part), Target(slice_z=0))
