"""Seg-Grad-CAM and Grad-CAM, worked by hand, and what a map of real weights depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.explain.cam import cam
from lungzoo.explain.contract import EXPLANATIONS, Subject
from lungzoo.explain.features import region_score
from lungzoo.inference.predictor import Predictor

GREY = np.array([[51, 102], [153, 204]], np.uint8)  # 0.2, 0.4, 0.6, 0.8
SEG, LABEL = EXPLANATIONS.get("seg-grad-cam"), EXPLANATIONS.get("grad-cam")


def test_seg_grad_cam_of_a_linear_network(linear: Any) -> None:
    """Channels m and -m have the mean gradients 3/4 and 1/4, so that the map is m/2, at the middles of the cells."""
    image = GREY.repeat(8, 0).repeat(8, 1)[None, ..., None] / np.float32(255)
    values, level = cam(linear, "", image, region_score(np.ones((16, 16), bool)))
    assert level == "P1"
    cells = image[0, ..., 0].reshape(8, 2, 8, 2).mean(axis=(1, 3))
    # 64 cells share a gradient of 3 and of 1: each has 3/64 and 1/64.
    assert values[2, 2] == pytest.approx((3 - 1) / 64 * cells[1, 1])
    assert values[13, 13] == pytest.approx(2 / 64 * 0.8)


def test_grad_cam_explains_the_label_asked_for(
    linear: Any, subject_of: Callable[..., Subject], recwarn: pytest.WarningsRecorder
) -> None:
    """The second label's logit is the mean of -m: weight 1/4 per cell, map relu(-m/4) = 0, and a line says so."""
    from dataclasses import replace

    from lungzoo.inference.predictor import Passes

    predictor = as_labelled(linear)
    told: list[str] = []
    subject = subject_of([predictor], GREY.repeat(2, 0).repeat(2, 1), np.zeros((4, 4), bool))
    subject = replace(subject, passes=Passes(tell=told.append))
    heat = LABEL.explain(subject, LABEL.options(label="dark"))
    assert heat.details == "Grad-CAM of 'dark', level P1"
    assert not heat.values.any()
    assert told == ["At level P1 nothing speaks for the answer: the map is empty."]
    # By itself it takes the most probable: 0 against a mean of -0.5.
    assert LABEL.explain(subject, LABEL.options()).details == "Grad-CAM of 'other', level P1"


def as_labelled(model: Any) -> Predictor:
    from lungzoo.inference.protocol import protocol_of
    from lungzoo.weights.manifest import WeightsManifest

    config = {"name": "cnn_scratch", "labels": ["other", "dark"]}
    values = {"name": "two", "model": config, "file": "a.npz", "sha256": "0" * 64, "size_bytes": 1}
    manifest = WeightsManifest.model_validate(values)
    return Predictor(model, manifest, protocol_of(manifest), False)


def test_what_cannot_be_explained_is_told(linear: Any, bright: Predictor) -> None:
    predictor = as_labelled(linear)
    with pytest.raises(UnknownNameError, match=r"Unknown label 'drak'\. Did you mean 'dark'\?"):
        LABEL.check([predictor], LABEL.options(label="drak"))
    with pytest.raises(UnknownNameError, match=r"Unknown level of the encoder 'P7'\..* Allowed: P1\."):
        SEG.check([predictor], SEG.options(level="P7"))
    from dataclasses import replace

    without = replace(predictor, manifest=bright.manifest)
    with pytest.raises(UsageError, match=r"'bright' has no label head\. Take --method seg-grad-cam"):
        LABEL.check([without], LABEL.options())


def test_a_backend_without_gradients_is_told_before_anything_is_predicted(
    linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lungzoo.explain import features

    monkeypatch.setattr(features, "_GRADIENTS", {"other": features._jax})
    with pytest.raises(UsageError, match=r"Gradients are not available with the backend '\w+'\. Allowed: other\."):
        SEG.check([as_labelled(linear)], SEG.options())


def test_the_map_of_trained_weights_lies_on_the_nodule_and_goes_with_the_weights(
    shipped: Predictor, nodule: tuple[np.ndarray, np.ndarray], subject_of: Callable[..., Subject]
) -> None:
    """The sanity check of Adebayo et al. 2018: with randomised weights the map is another."""
    from dataclasses import replace

    import keras

    from lungzoo.models.assemble import build_model

    image, region = nodule
    options = SEG.options()
    trained = SEG.explain(subject_of([shipped], image, region), options).values
    y, x = np.unravel_index(trained.argmax(), trained.shape)
    assert abs(int(y) - 40) <= 16  # a cell of P4
    assert abs(int(x) - 62) <= 16
    keras.utils.set_random_seed(1)
    random = replace(shipped, model=build_model(shipped.manifest.model))
    other = SEG.explain(subject_of([random], image, region), options).values
    assert np.corrcoef(trained.ravel(), other.ravel())[0, 1] < 0.5
