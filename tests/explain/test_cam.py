"""From features and gradients to a map on the image."""

from __future__ import annotations

import numpy as np
import pytest

from lungzoo.explain.cam import activation_map, enlarge, local_map


def test_channels_are_weighed_by_their_mean_gradient_and_what_speaks_against_is_cut() -> None:
    """Weights 2 and -1: 2·1 - 3 is below zero, 2·2 - 1 = 3."""
    features = np.array([[[1.0, 3.0], [2.0, 1.0]]])
    gradient = np.array([[[4.0, -2.0], [0.0, 0.0]]])
    assert activation_map(features, gradient).tolist() == [[0.0, 3.0]]


def test_values_are_weighed_by_their_own_gradient() -> None:
    """1·4 - 3·2 is below zero; where no gradient leads, there is nothing; 2·1 + 1·3 = 5."""
    features = np.array([[[1.0, 3.0], [2.0, 1.0], [2.0, 1.0]]])
    gradient = np.array([[[4.0, -2.0], [0.0, 0.0], [1.0, 3.0]]])
    assert local_map(features, gradient).tolist() == [[0.0, 0.0, 5.0]]


def test_a_cell_lies_over_its_own_pixels() -> None:
    """A row of cells (0, 4) of two pixels each, cut to three: middles at 0.5 and 2.5, so that pixels read 0, 1, 3."""
    found = enlarge(np.array([[0.0, 4.0]]), (2, 3), 2)
    assert found == pytest.approx(np.array([[0, 1, 3], [0, 1, 3]]))
