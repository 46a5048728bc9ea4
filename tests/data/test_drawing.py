from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from lungzoo.config import DataConfig
from lungzoo.data.drawing import draw_outline, frame, grey_values, shown_range


def test_hu_are_seen_through_the_lung_window_and_other_values_from_0_to_255() -> None:
    low, high = DataConfig().window_hu
    assert shown_range("hu") == (low, high)
    values = np.array([[low - 100, low, (low + high) / 2, high + 1]], np.int16)
    assert grey_values(values, "hu").tolist() == [[0, 0, 0.5, 1]]
    assert grey_values(np.array([0, 51, 255], np.uint8), "uint8") == pytest.approx([0, 0.2, 1])


def test_an_outline_lies_around_the_middles_of_the_pixels_of_a_mask_even_at_the_edge_of_the_slice() -> None:
    axis = Figure().subplots()
    mask = np.zeros((4, 6), np.uint8)
    draw_outline(axis, mask, "red", 1)
    assert not axis.collections
    mask[0, 2:4] = 1
    draw_outline(axis, mask, "red", 1)
    (drawn,) = axis.collections
    corners = np.concatenate([path.vertices for path in drawn.get_paths()])
    assert corners.min(axis=0).tolist() == [1.5, -0.5]
    assert corners.max(axis=0).tolist() == [3.5, 0.5]


def test_a_frame_shows_whole_pixels() -> None:
    axis = Figure().subplots()
    frame(axis, None, (4, 6))
    assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, 5.5), (3.5, -0.5))
    frame(axis, (slice(1, 3), slice(2, 6)), (4, 6))
    assert (axis.get_xlim(), axis.get_ylim()) == ((1.5, 5.5), (2.5, 0.5))
    assert not axis.get_xticks().size
