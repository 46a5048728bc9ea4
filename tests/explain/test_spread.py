"""Uncertainty of several answers: entropy, mutual information, deviation, by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lungzoo.explain.contract import EXPLANATIONS, Subject
from lungzoo.explain.spread import MEASURES, entropy
from lungzoo.inference.predictor import Predictor


def test_entropy_in_bits() -> None:
    """-¼·log₂ ¼ - ¾·log₂ ¾ = 2 - ¾·log₂ 3."""
    assert entropy(np.array([0, 1, 0.5, 0.25])) == pytest.approx([0, 0, 1, 2 - 0.75 * np.log2(3)])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((0.0, 1.0), {"entropy": 1.0, "mutual-information": 1.0, "std": 0.5}),  # they contradict each other
        ((0.5, 0.5), {"entropy": 1.0, "mutual-information": 0.0, "std": 0.0}),  # all are unsure
        ((1.0, 1.0), {"entropy": 0.0, "mutual-information": 0.0, "std": 0.0}),
        ((0.25, 0.75), {"entropy": 1.0, "mutual-information": 0.75 * np.log2(3) - 1, "std": 0.25}),
    ],
)
def test_measures_of_two_answers(answers: tuple[float, float], expected: dict[str, float]) -> None:
    probabilities = np.array(answers).reshape(2, 1, 1)
    assert {name: float(measure.of(probabilities)[0, 0]) for name, measure in MEASURES.items()} == pytest.approx(
        expected, abs=1e-12
    )


def test_an_ensemble_of_the_same_model_twice_has_no_disagreement(
    build: Callable[..., Predictor], subject_of: Callable[..., Subject]
) -> None:
    method, one, other = EXPLANATIONS.get("uncertainty"), build(seed=0), build(seed=5)
    image = np.random.default_rng(0).integers(0, 255, (20, 26)).astype(np.uint8)
    options = method.options(measure="mutual-information")
    same = method.explain(subject_of([one, one], image, image < 0), options)
    assert same.values.max() < 1e-6
    assert same.top == 1  # not the colours of how numbers are rounded
    assert same.details == "uncertainty over 2 models"
    differing = method.explain(subject_of([one, other], image, image < 0), options)
    assert differing.values.max() > 1e-4
    assert differing.top is None
