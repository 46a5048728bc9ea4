"""What MLflow loads."""

import numpy as np
import pytest

from lungzoo.config import ModelConfig
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
