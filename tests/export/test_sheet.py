"""Following the sheet's words gives the input that lungzoo makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lungzoo.data.preprocess.grey import Scaling
from lungzoo.export.agreement import compare, probabilities
from lungzoo.export.sheet import sheet_of
from lungzoo.inference.predictor import Predictor

HU = np.random.default_rng(0).integers(-1500, 600, (1, 3, 16, 16)).astype(np.int16)
EQUAL = compare([{"mask": np.zeros((1, 4, 4, 1))}], [{"mask": np.zeros((1, 4, 4, 1))}], [np.zeros((1, 4, 4, 1))])


def sheet(predictor: Predictor) -> dict[str, Any]:
    channels = predictor.manifest.model.in_channels * predictor.manifest.model.in_slices
    return sheet_of(predictor, "onnx", None, (None, None, None, channels), EQUAL, "nothing")


def by_the_sheet(channels: list[dict[str, Any]]) -> np.ndarray:
    """What a person would write who reads the recipe; HU has the slice in the middle at 1."""
    made = []
    for channel in channels:
        scaled = np.clip((HU[0, 1 + channel["slice"]] - channel["low"]) / (channel["high"] - channel["low"]), 0, 1)
        made.append(np.clip(scaled * channel["scale"] + channel["shift"], 0, 1))
    return np.stack(made)


@pytest.mark.parametrize(
    ("model", "protocol"),
    [
        ({"in_slices": 3}, {}),
        ({"in_slices": 3}, {"data": {"window_hu": [-1000.0, 400.0]}}),
        ({"in_slices": 3, "in_channels": 2}, {"data": {"windows": [[-1350.0, 150.0], [-125.0, 225.0]]}}),
        (
            {"in_slices": 3},
            {"data": {"normalise": "zscore"}, "intensity": {"mean": [0.4], "deviation": [0.1]}},
        ),
    ],
)
def test_recipe(model: dict[str, Any], protocol: dict[str, Any], make_predictor: Callable[..., Predictor]) -> None:
    predictor = make_predictor(protocol=protocol, **model)
    scaling = Scaling(predictor.protocol.data, "hu", predictor.protocol.statistics)
    found = by_the_sheet(sheet(predictor)["input"]["channels"])
    assert found == pytest.approx(np.asarray(scaling(HU))[0], abs=1e-6)


def test_what_it_says(make_predictor: Callable[..., Predictor]) -> None:
    protocol = {"score": {"threshold": 0.4}, "postprocess": {"largest": 2}, "data": {"spacing_mm": 0.7, "size_px": 256}}
    assert sheet(make_predictor(protocol=protocol))["averaged_over_mirror_images"] is False
    protocol["predict"] = {"flips": True}
    said = sheet(make_predictor(protocol=protocol, labels=("benign", "malignant")))
    assert said["outputs"]["mask"]["activation"] == "sigmoid"
    assert said["outputs"]["mask"]["threshold"] == 0.4
    assert said["outputs"]["label"]["labels"] == ["benign", "malignant"]
    assert said["postprocess"]["largest"] == 2
    assert said["averaged_over_mirror_images"] is True
    assert (said["input"]["spacing_mm"], said["input"]["size_px"]) == (0.7, 256)
    assert said["input"]["grey_8_bit"] == {"low": 0, "high": 255}
    assert said["input"]["axes"] == ["batch", "height", "width", "channels"]


def test_logits_count_by_the_largest_and_probabilities_as_they_are() -> None:
    """Of 0.002 in 50 nothing is left; of 0.0005 at 0, where sigmoid rises by a quarter, 0.000125."""
    empty = [np.zeros((1, 1, 3, 1))]
    ours = {"mask": np.array([0.0, 0.5, -50.0]).reshape(1, 1, 3, 1)}
    theirs = {"mask": np.array([0.0, 0.5, -50.002]).reshape(1, 1, 3, 1)}
    found = compare([ours], [theirs], empty)
    assert found.logits == pytest.approx(0.002)
    assert found.scaled == pytest.approx(4e-5)
    assert found.probability < 1e-12
    assert found.holds
    theirs["mask"][0, 0, 0, 0] = 0.0005
    found = compare([ours], [theirs], empty)
    assert found.probability == pytest.approx(1.25e-4, rel=1e-3)
    assert not found.holds
    small = compare([{"mask": np.zeros((1, 1, 3, 1))}], [{"mask": np.full((1, 1, 3, 1), 1.1e-4)}], empty)
    assert small.scaled == pytest.approx(1.1e-4)
    assert not small.holds


def test_probabilities_by_hand() -> None:
    assert probabilities(np.array([[0.0], [np.log(3)]])).ravel() == pytest.approx([0.5, 0.75])
    assert probabilities(np.log([[1.0, 3.0]])).ravel() == pytest.approx([0.25, 0.75])
