"""Classes of lesions: by label heads, by second stages, by both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import find_objects

from lungzoo.classifiers.contract import ClassifierSpec, Lesion
from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.preprocess import source
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UsageError
from lungzoo.evaluation.evaluate import predicted
from lungzoo.inference.classes import LesionClasses
from lungzoo.inference.ensemble import labels_of
from lungzoo.inference.inputs import Input
from lungzoo.inference.inputs.dataset import read_volume
from lungzoo.inference.lesions import measure_lesions
from lungzoo.inference.predict import Settings, predict_scan
from lungzoo.inference.predictor import Predictor, SliceAnswer
from lungzoo.inference.volume import Volume
from lungzoo.schema import Option

LABELS = ("benign", "malignant")
WINDOWS = [[-1000, 400], [-160, 240], [-1350, 150]]


class Direct:
    """Answers with what it is shown."""

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        return np.stack([1 - inputs[:, 0], inputs[:, 0]], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def direct(look: Callable[[Lesion], float]) -> SecondStage:
    """A second stage whose second class is as likely as `look` says of a lesion."""

    def describe(lesion: Lesion, options: Mapping[str, Option]) -> np.ndarray:
        return np.array([look(lesion)], np.float32)

    never: Any = None
    spec = ClassifierSpec("direct", "what it is shown", {}, describe, never, never, lambda options: 64)
    return SecondStage(spec, LABELS, {}, Direct(), np.array([0.5, 0.5]))


@pytest.fixture
def two_lesions(make_volume: Callable[..., Volume]) -> tuple[Volume, np.ndarray]:
    """A lesion of 60 HU in slices 1 and 2, 12 and 4 pixels of it, and one of 20 HU of 6 pixels in slice 2."""
    image, mask = np.full((4, 40, 44), -850, np.int16), np.zeros((4, 40, 44), np.uint8)
    image[1, 4:7, 4:8], image[2, 4:6, 4:6], image[2, 30:32, 20:23] = 60, 60, 20
    mask[image > 0] = 1
    return make_volume(image), mask


def named(predictors: list[Predictor], volume: Volume, mask: np.ndarray, heads: dict[int, list[float]]) -> np.ndarray:
    """Return the probabilities of the second class, the largest lesion first."""
    classes = LesionClasses(predictors, volume)
    for row, chances in heads.items():
        classes.note(SliceAnswer(row, mask[row], np.array(chances, np.float32)))
    found = measure_lesions(mask, mask, volume.spacing_mm, name_classes=classes.of_slice)
    assert all(each.labels is not None and sum(each.labels) == pytest.approx(1) for each in found)
    return np.array([each.labels[1] for each in found if each.labels])


def grey(hu: float) -> float:
    """The grey value of HU in the usual window, in 256 steps, as training shows it."""
    return float(np.round((hu + 1350) / 1500 * 255) / 255)


def test_a_second_stage_looks_at_each_lesion_of_each_slice(
    make_predictor: Callable[..., Predictor], two_lesions: tuple[Volume, np.ndarray]
) -> None:
    size = make_predictor(made=direct(lambda lesion: lesion.mask.sum() / 20))
    expected = [(12 * 12 / 20 + 4 * 4 / 20) / 16, 6 / 20]  # each slice counts by how much of the lesion it holds
    assert named([size], *two_lesions, {}) == pytest.approx(expected)


def test_the_scan_is_prepared_once_for_the_network_and_the_second_stage(
    make_predictor: Callable[..., Predictor],
    two_lesions: tuple[Volume, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []

    def lung_fields(image: np.ndarray) -> np.ndarray:
        found.append(len(image))
        return np.ones(image.shape, bool)

    monkeypatch.setattr(source, "lung_fields", lung_fields)
    predictor = make_predictor(
        level=0.64, made=direct(lambda lesion: 1.0), protocol={"data": {"preprocess": ["lung_mask"]}}
    )
    given = Input("scan", Path("scan"), True, False, lambda: two_lesions[0])
    result = predict_scan(given, [predictor], Settings())
    assert [lesion.labels for lesion in result.lesions] == [pytest.approx((0, 1))] * 2
    assert found == [4]


def test_it_sees_the_grey_values_and_the_spacing_of_training(
    make_predictor: Callable[..., Predictor], two_lesions: tuple[Volume, np.ndarray]
) -> None:
    def look(lesion: Lesion) -> float:
        assert lesion.spacing_mm == (0.75, 0.75)
        assert lesion.image.shape == lesion.mask.shape
        return float(lesion.image[lesion.mask].mean())

    for view in ({}, {"in_slices": 3}, {"in_slices": 3, "is_3d": True}):
        predictor = make_predictor(**view, made=direct(look))
        assert named([predictor], *two_lesions, {}) == pytest.approx([grey(60), grey(20)], abs=1e-6)


def test_on_another_grid_it_sees_the_scans_own(
    make_predictor: Callable[..., Predictor], make_volume: Callable[..., Volume]
) -> None:
    image = np.full((1, 40, 44), -850, np.int16)
    image[0, 10:30, 10:30] = 60
    regridded = make_predictor(protocol={"data": {"spacing_mm": 0.5}})

    def look(lesion: Lesion) -> float:
        assert lesion.image.shape == (40, 44)
        return float(lesion.image[15:25, 15:25].mean())

    predictor = dataclasses.replace(regridded, made=direct(look))
    found = named([predictor], make_volume(image), (image > 0).astype(np.uint8), {})
    assert found == pytest.approx([grey(60)], abs=1 / 255)


def test_label_heads_and_second_stages_are_averaged(
    make_predictor: Callable[..., Predictor], two_lesions: tuple[Volume, np.ndarray]
) -> None:
    volume, mask = two_lesions
    head, other = make_predictor(labels=LABELS), make_predictor(labels=LABELS)
    second = make_predictor(made=direct(lambda lesion: 1.0))
    heads = {1: [1.0, 0.0], 2: [0.75, 0.25]}
    large, small = (12 * 0.0 + 4 * 0.25) / 16, 0.25
    assert named([head], volume, mask, heads) == pytest.approx([large, small])
    assert named([head, second, make_predictor()], volume, mask, heads) == pytest.approx(
        [(large + 1) / 2, (small + 1) / 2]
    )
    assert named([head, other, second], volume, mask, heads) == pytest.approx(
        [(2 * large + 1) / 3, (2 * small + 1) / 3]
    )


def test_slices_that_are_missing_shift_nothing(make_predictor: Callable[..., Predictor]) -> None:
    image = np.full((2, 20, 20), -850, np.int16)
    image[1, 4:8, 4:8] = 60
    mask = np.zeros((8, 20, 20), np.uint8)
    mask[6] = image[1] > 0
    volume = Volume(image, "hu", np.array([2, 6]), (8, 20, 20), (2.0, 0.75, 0.75))
    second = make_predictor(made=direct(lambda lesion: float(lesion.image[lesion.mask].mean())))
    assert named([second], volume, mask, {}) == pytest.approx([grey(60)], abs=1e-6)


def test_where_nothing_names_classes_there_are_none(
    make_predictor: Callable[..., Predictor], two_lesions: tuple[Volume, np.ndarray]
) -> None:
    volume, mask = two_lesions
    classes = LesionClasses([make_predictor()], volume)
    assert classes.labels == ()
    found = measure_lesions(mask, mask, volume.spacing_mm, name_classes=classes.of_slice)
    assert [each.labels for each in found] == [None, None]


def test_models_with_other_classes_are_refused(make_predictor: Callable[..., Predictor]) -> None:
    second = make_predictor(made=direct(lambda lesion: 1.0))
    assert labels_of([make_predictor(labels=LABELS), second]) == LABELS
    with pytest.raises(UsageError, match=r"must have the same classes\. Received: a, b; benign, malignant\."):
        labels_of([make_predictor(labels=("a", "b")), second])


@pytest.mark.parametrize(
    "data",
    [{}, {"spacing_mm": 1.7, "size_px": 96}, {"preprocess": ["lung_crop"], "size_px": 64}, {"windows": WINDOWS}],
)
@pytest.mark.parametrize("view", [View(), View(3), View(3, True)])
def test_a_second_stage_is_shown_what_it_was_trained_on(
    make_predictor: Callable[..., Predictor], phantom: PreparedDataset, data: dict[str, Any], view: View
) -> None:
    config, seen = DataConfig(**data), list[Lesion]()
    second = direct(lambda lesion: float(seen.append(lesion) or 0.5))
    sizes = {"in_slices": view.slices, "is_3d": view.volume, "in_channels": len(config.windows) or 1}
    predictor = make_predictor(protocol={"data": config.model_dump(mode="json")}, made=second, **sizes)
    rows = np.flatnonzero(phantom.cases["volume"] == phantom.cases["volume"].iloc[0])[:3]
    classes = LesionClasses([predictor], read_volume(phantom, phantom.cases["volume"].iloc[0]))
    pipeline = Pipeline(phantom, config, 2, view)
    for part, batch in predicted(Corner(), pipeline, phantom, rows, config, ScoreConfig()):
        spacings = phantom.cases[["spacing_y_mm", "spacing_x_mm"]].iloc[part].to_numpy(float)
        for place, row in enumerate(part):
            seen.clear()
            second.probabilities(batch.images[[place]], batch.masks[[place]], spacings[[place]])
            numbers = batch.masks[place].astype(np.int32)
            (box,) = find_objects(numbers)
            classes.of_slice(int(phantom.cases["z"].iloc[row]), numbers, [(1, box)])
            trained, now = (each.image[each.mask] for each in seen)
            assert np.abs(trained - now).max() < 1.5 / 255
            assert seen[0].spacing_mm == seen[1].spacing_mm


class Corner:
    """A network that marks a block in the middle of what it is shown."""

    def predict_on_batch(self, image: np.ndarray) -> np.ndarray:
        logits = np.full((*image.shape[:-1], 1), -9.0, np.float32)
        height, width = image.shape[-3:-1]
        logits[..., height // 3 : height // 2, width // 3 : width // 2, :] = 9
        return logits


def test_from_a_scan_to_the_class_of_its_lesions(make_predictor: Callable[..., Predictor], make_volume: Any) -> None:
    image = np.full((6, 40, 44), -850, np.int16)
    image[1:4, 4:12, 4:12], image[4, 30:33, 30:33] = 60, 60
    predictor = make_predictor(made=direct(lambda lesion: min(lesion.mask.sum() / 64, 1.0)))
    scan = Input("scan", Path("scan"), True, False, lambda: make_volume(image))
    result = predict_scan(scan, [predictor], Settings())
    assert result.labels == LABELS
    assert [each.labels for each in result.lesions] == [
        pytest.approx((0.0, 1.0)),
        pytest.approx((1 - 9 / 64, 9 / 64)),
    ]


def test_what_comes_of_absurd_weights_is_no_class(make_predictor: Callable[..., Predictor], two_lesions: Any) -> None:
    volume, mask = two_lesions
    classes = LesionClasses([make_predictor(made=direct(lambda lesion: float("nan")))], volume)
    found = measure_lesions(mask, mask, volume.spacing_mm, name_classes=classes.of_slice)
    assert [each.labels for each in found] == [None, None]
