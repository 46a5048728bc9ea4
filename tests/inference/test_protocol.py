"""What a manifest says of a model's input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lungzoo.data.preprocess.grey import Statistics
from lungzoo.errors import ConfigError
from lungzoo.inference.protocol import protocol_of
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest


def test_of_the_weights_that_ship() -> None:
    found = protocol_of(hub.find("unet_mobilenetv2_035-lidc-v1"))
    assert found.data.window_hu == (-1350.0, 150.0)
    assert (found.threshold, found.statistics) == (0.5, None)
    assert not any(found.postprocess.model_dump().values())


def test_everything_is_read(make_manifest: Callable[..., WeightsManifest]) -> None:
    protocol = {
        "data": {"normalise": "zscore", "spacing_mm": 1.0},
        "intensity": {"mean": [0.3], "deviation": [0.1]},
        "score": {"threshold": 0.3},
        "postprocess": {"lungs": True, "min_volume_mm3": 30},
        "train": {"anything": 1},
    }
    found = protocol_of(make_manifest(protocol=protocol))
    assert found.data.spacing_mm == 1.0
    assert found.statistics == Statistics((0.3,), (0.1,))
    assert found.threshold == 0.3
    assert found.postprocess.lungs
    assert found.postprocess.min_volume_mm3 == 30


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        (
            {"data": {"window": [0, 1]}},
            r"Protocol of the weights 'hand-made', data: Unknown key 'window'\. Did",
        ),
        ({"data": 3}, "'data' must be a table. Received: 3"),
        ({"data": {"normalise": "zscore"}}, "says normalise = 'zscore', but not the mean and deviation"),
        ({"intensity": {"mean": [0.3], "deviation": [0]}}, "must hold a mean and a deviation"),
        ({"intensity": {"mean": "x"}}, "must hold a mean and a deviation"),
        ({"score": {"threshold": 1.0}}, "score.threshold must be a number between 0 and 1. Received: 1.0"),
        ({"predict": {"flips": 1}}, "predict.flips must be true or false. Received: 1"),
        ({"postprocess": {"largest": 0}}, "postprocess: largest"),
    ],
)
def test_malformed(make_manifest: Callable[..., WeightsManifest], protocol: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        protocol_of(make_manifest(protocol=protocol))
