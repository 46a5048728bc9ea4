"""A scan's slices are shown to a model as training showed its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lungzoo.config import DataConfig, ModelConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.preprocess.grey import Statistics
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import DatasetError
from lungzoo.inference.inputs import Reading
from lungzoo.inference.inputs.dataset import find
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.prepare import prepare
from lungzoo.inference.protocol import Protocol
from lungzoo.inference.volume import Volume


def protocol(statistics: Statistics | None = None, **data: Any) -> Protocol:
    return Protocol(DataConfig(**data), statistics, 0.5, PostprocessConfig())


@pytest.mark.parametrize(
    ("data", "model", "is_3d"),
    [
        ({}, {}, False),
        ({}, {"in_slices": 3}, False),
        ({}, {"in_slices": 5}, True),
        ({"windows": ["lung", "mediastinum"]}, {"in_slices": 3, "in_channels": 2}, False),
        ({"windows": ["lung", "mediastinum"]}, {"in_slices": 3, "in_channels": 2}, True),
        ({"size_px": 48}, {}, False),
        ({"preprocess": ["lung_crop", "clahe"], "size_px": 64}, {}, False),
        ({"preprocess": ["lung_mask"]}, {}, False),
        ({"normalise": "zscore"}, {}, False),
    ],
)
def test_same_as_the_evaluation_of_a_run(
    phantom: PreparedDataset, data: dict[str, Any], model: dict[str, Any], is_3d: bool
) -> None:
    statistics = Statistics((0.4,), (0.2,)) if "normalise" in data else None
    steps, config = protocol(statistics, **data), ModelConfig(name="cnn_scratch", **model)
    volume = find(phantom.path, Reading())[1].read()
    rows = np.flatnonzero(phantom.cases["volume"] == phantom.cases["volume"].unique()[1])
    view = View(config.in_slices, is_3d)
    pipeline = Pipeline(phantom, steps.data, len(rows), view, statistics)
    ((expected, _, _),) = pipeline.evaluation(rows, 0, 0).as_numpy_iterator()
    prepared = prepare(volume, steps, config, is_3d, "w")
    assert np.array_equal(prepared.read(np.arange(len(rows))), expected)
    assert np.array_equal(prepared.read(np.array([4, 2])), expected[[4, 2]])


def test_a_size_that_training_cropped_to_does_not_crop_a_scan(make_volume: Callable[..., Volume]) -> None:
    """100 × 120 pixels of 0.75 mm are 75 × 90 mm: at 1.5 mm they need a square of 60 pixels, not of 32."""
    image = np.random.default_rng(0).integers(-900, 100, (2, 100, 120)).astype(np.int16)
    prepared = prepare(
        make_volume(image), protocol(spacing_mm=1.5, size_px=32), ModelConfig(name="cnn_scratch"), False, "w"
    )
    assert prepared.source.shape_yx == (60, 60)
    back = prepared.source.inverse(np.ones((1, 60, 60), np.float32), np.array([0]))
    assert back.shape == (1, 100, 120)
    assert back.min() == pytest.approx(1)


def test_nor_does_it_where_the_distance_of_the_slices_is_unknown(make_volume: Callable[..., Volume]) -> None:
    volume = replace(make_volume(np.zeros((1, 100, 120), np.int16)), spacing_mm=(float("nan"), 0.75, 0.75))
    prepared = prepare(volume, protocol(spacing_mm=1.5, size_px=32), ModelConfig(name="cnn_scratch"), False, "w")
    assert prepared.source.shape_yx == (60, 60)


@pytest.mark.parametrize(
    ("data", "units", "spacing", "text"),
    [
        (
            {"windows": ["lung", "bone"]}, "uint8", 1.0,
            r", which look at -1350 to 150, -500 to 1300 HU: in 8-bit grey HU are lost\. Give the scan in HU, such as "
            r"its DICOM or NIfTI files or 16-bit pictures\.$",
        ),
        ({"window_hu": (0.0, 100.0)}, "uint8", 1.0, r", which look at 0 to 100 HU: in 8-bit grey HU are lost\. Give"),
        (
            {"spacing_mm": 1.0}, "hu", float("nan"),
            r", which look at pixels of 1 mm: its spacing is unknown\. Give a file that says it, such as DICOM, NIfTI, "
            r"MetaImage or NRRD\.$",
        ),
        ({"windows": ["lung", "bone"]}, "hu", 1.0, r": their protocol gives 2 channel\(s\) a slice, the model takes 1"),
    ],
)  # fmt: skip
def test_what_a_scan_lacks(data: dict[str, Any], units: Any, spacing: float, text: str) -> None:
    image = np.zeros((1, 32, 32), np.uint8 if units == "uint8" else np.int16)
    volume = Volume(image, units, np.arange(1), (1, 32, 32), (spacing,) * 3)
    with pytest.raises(DatasetError, match=f"^it does not go with the weights 'w'{text}"):
        prepare(volume, protocol(**data), ModelConfig(name="cnn_scratch"), False, "w")
