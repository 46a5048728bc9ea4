"""Losses of several outputs, by hand."""

import math

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.models.assemble import build_model
from lungzoo.training.objectives import label_cross_entropy, objectives, targets


def model(**settings):
    sizes = {"encoder_options": {"width": 4}, "encoder_depth": 3, "decoder_channels": (4, 4, 4), "decoder_convs": 1}
    return build_model(ModelConfig(name="cnn_scratch", **sizes, **settings))


def test_cases_without_a_label_do_not_count():
    logits = np.array([[0.0, 0.0], [9.0, -9.0], [math.log(3), 0.0]], "float32")
    # The first: ln 2. The second has no label. The third: -ln(3/4).
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert float(label_cross_entropy(np.array([[1], [-1], [0]]), logits)) == pytest.approx(expected, abs=1e-6)


def test_a_batch_without_labels_costs_nothing():
    assert float(label_cross_entropy(np.array([[-1]]), np.array([[3.0, 1.0]], "float32"))) == 0


def test_one_output_needs_no_names(tiny):
    plain = model()
    assert callable(objectives(plain, tiny)["loss"])
    assert targets(plain, "mask", "label") == "mask"


def test_every_output_has_a_loss_and_a_weight(tiny):
    several = model(labels=("a", "b"), deep_supervision=True)
    told = objectives(several, tiny)
    assert told["loss_weights"] == {"mask": 1.0, "aux_P1": 0.5, "aux_P2": 0.25, "label": 0.2}
    assert set(told["loss"]) == set(told["loss_weights"]) == set(several.output)
    assert targets(several, "mask", "label") == {"mask": "mask", "aux_P1": "mask", "aux_P2": "mask", "label": "label"}
