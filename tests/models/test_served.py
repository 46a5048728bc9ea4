"""What MLflow loads."""

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import UsageError
from lungzoo.models import served
from lungzoo.models.served import ServedModel, shapes_of


@pytest.mark.parametrize(
    ("model", "shape", "outputs"),
    [
        ({"name": "unet_resnet50"}, (-1, -1, -1, 1), {"mask": (-1, -1, -1, 1)}),
        ({"name": "unet_resnet50", "in_slices": 3, "in_channels": 2}, (-1, -1, -1, 6), {"mask": (-1, -1, -1, 1)}),
        ({"name": "unet3d", "in_slices": 5}, (-1, -1, -1, -1, 1), {"mask": (-1, -1, -1, -1, 1)}),
        (
            {"name": "unet_resnet50", "labels": ("benign", "malignant")},
            (-1, -1, -1, 1),
            {"mask": (-1, -1, -1, 1), "label": (-1, 2)},
        ),
    ],
)
def test_shapes_say_what_goes_in_and_comes_out(model, shape, outputs):
    assert shapes_of(ModelConfig(**model)) == (shape, outputs)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.ones(3), None),
        ({"mask": np.ones(3), "aux_P1": np.zeros(3)}, None),
        ({"mask": np.ones(3), "label": np.zeros(2)}, {"mask", "label"}),
    ],
)
def test_auxiliary_heads_are_left_out(monkeypatch, tmp_path, answer, expected):
    class Model:
        def predict_on_batch(self, batch):
            assert batch.dtype == np.float32
            return answer

    monkeypatch.setattr(served, "load", lambda folder: Model())
    found = ServedModel(tmp_path).predict(np.zeros((1, 8, 8, 1)))
    if expected is None:
        np.testing.assert_array_equal(found, np.ones(3))
    else:
        assert set(found) == expected


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (np.array([-1000.0, 40.0]), r"scaled to \[0, 1\], .* Received: -1000 to 40, which looks like HU\."),
        (np.array([0.0, 255.0]), r"Received: 0 to 255, which looks like 8-bit grey, to be divided by 255\."),
        (np.array([0.5, np.nan]), r"Some values are missing \(null or NaN\)\. Send slices in \[0, 1\]\."),
        (np.zeros((0, 4, 4, 1)), r"There is nothing to predict: the batch has the shape \(0, 4, 4, 1\)\."),
    ],
)
def test_what_would_be_answered_with_nonsense_is_refused(monkeypatch, tmp_path, batch, words):
    monkeypatch.setattr(served, "load", lambda folder: None)
    with pytest.raises(UsageError, match=words):
        ServedModel(tmp_path).predict(batch)


def test_rounding_is_not_refused(monkeypatch, tmp_path):
    class Model:
        def predict_on_batch(self, batch):
            return batch

    monkeypatch.setattr(served, "load", lambda folder: Model())
    assert ServedModel(tmp_path).predict(np.array([-1e-6, 1 + 1e-6])).shape == (2,)
