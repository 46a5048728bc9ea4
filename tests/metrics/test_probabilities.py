"""Probabilities of logits."""

import numpy as np
import pytest

from lungzoo.metrics.probabilities import named_outputs, sigmoid, softmax


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_logits_become_probabilities_of_their_precision(kind: type) -> None:
    chances = sigmoid(np.array([0, np.log(3), -1000, 1000], kind))
    assert chances == pytest.approx([0.5, 0.75, 0, 1])
    classes = softmax(np.array([[0, np.log(3)], [1000, -1000]], kind))
    assert classes == pytest.approx(np.array([[0.25, 0.75], [1, 0]]))
    assert chances.dtype == classes.dtype == kind


def test_a_single_output_is_the_mask() -> None:
    assert named_outputs(1) == {"mask": 1}
    assert named_outputs({"mask": 1, "label": 2}) == {"mask": 1, "label": 2}
