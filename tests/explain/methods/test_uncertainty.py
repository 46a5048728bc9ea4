"""Uncertainty of one model: dropout and mirror images; and what each of them cannot do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.explain.contract import EXPLANATIONS, Subject
from lungzoo.explain.methods.dropout_uncertainty import dropout_layers
from lungzoo.explain.methods.flip_uncertainty import Flipped
from lungzoo.inference.predictor import Predictor

ENSEMBLE, DROPOUT, FLIPS = (
    EXPLANATIONS.get(name) for name in ("uncertainty", "dropout-uncertainty", "flip-uncertainty")
)
IMAGE = np.random.default_rng(0).integers(0, 255, (20, 26)).astype(np.uint8)
NOWHERE = np.zeros(IMAGE.shape, bool)


def test_dropout_repeats_by_its_seed_and_leaves_the_model_as_it_was(
    build: Callable[..., Predictor], subject_of: Callable[..., Subject]
) -> None:
    predictor = build(decoder_dropout=0.4)
    before = [np.array(value) for value in predictor.model.get_weights()]
    trainable = [layer.trainable for layer in predictor.model._flatten_layers()]
    subject = subject_of([predictor], IMAGE, NOWHERE)
    options = DROPOUT.options(measure="std", passes=4)
    DROPOUT.check([predictor], options)
    heat = DROPOUT.explain(subject, options)
    assert heat.details == "uncertainty over 4 passes with dropout"
    assert heat.values.max() > 0
    assert np.array_equal(DROPOUT.explain(subject, options).values, heat.values)
    other = DROPOUT.explain(subject, DROPOUT.options(measure="std", passes=4, seed=1))
    assert not np.array_equal(other.values, heat.values)
    dropped = {id(layer.seed_generator.state) for layer in dropout_layers(predictor.model)}
    after = [v for v in predictor.model.weights if id(v) not in dropped]
    assert len(after) == len(before)
    assert all(np.array_equal(old, new.numpy()) for old, new in zip(before, after, strict=True))
    assert [layer.trainable for layer in predictor.model._flatten_layers()] == trainable


def test_a_model_without_dropout_is_told(build: Callable[..., Predictor]) -> None:
    with pytest.raises(UsageError, match=r"'plain' has no dropout, .*--method uncertainty .*, or flip-uncertainty"):
        DROPOUT.check([build(name="plain")], DROPOUT.options())


def test_an_ensemble_needs_two(bright: Predictor) -> None:
    with pytest.raises(UsageError, match=r"is of several models, .*Received: 1 --weights\..*dropout-uncertainty"):
        ENSEMBLE.check([bright], ENSEMBLE.options())


def test_mirror_images_do_not_change_what_is_decided_pixel_by_pixel(
    bright: Predictor, build: Callable[..., Predictor], subject_of: Callable[..., Subject]
) -> None:
    steady = FLIPS.explain(subject_of([bright], IMAGE, NOWHERE), FLIPS.options())
    assert steady.values.max() < 1e-6
    random = FLIPS.explain(subject_of([build()], IMAGE, NOWHERE), FLIPS.options())
    assert random.values.max() > 1e-6


def test_a_mask_is_mirrored_back_and_a_label_is_not() -> None:
    class Echo:
        def predict_on_batch(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            return {"mask": batch, "label": batch[:, 0, 0]}

    batch = np.arange(6.0).reshape(1, 2, 3, 1)
    found = Flipped(Echo(), (-2,)).predict_on_batch(batch)
    assert np.array_equal(found["mask"], batch)
    assert found["label"].tolist() == [[2.0]]  # what stands first in the mirror
