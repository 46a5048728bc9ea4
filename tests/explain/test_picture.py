"""What a picture shows, and where it is enlarged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungzoo.explain.contract import HeatMap
from lungzoo.explain.picture import draw, zoom_box
from lungzoo.explain.run import Explanation
from lungzoo.explain.target import Place
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume


@pytest.fixture
def explanation() -> Explanation:
    """A slice of 64×100 pixels, 2 mm high and 1 mm wide; marked are rows 50 to 52, columns 10 to 13."""
    mask = np.zeros((3, 64, 100), np.uint8)
    mask[1, 50:53, 10:14] = 1
    volume = Volume(np.zeros(mask.shape, np.uint8), "uint8", np.arange(3), mask.shape, (5.0, 2.0, 1.0))
    values = np.full((64, 100), np.nan, np.float32)
    values[40:, :50], values[51, 11] = -1, 4
    heat = HeatMap(values, "drop [log-odds]", "occlusion", signed=True)
    result = Result(Path("scan"), volume, mask, [], (), (), 0.5, PostprocessConfig())
    return Explanation(result, Place(1, 1, mask[1] > 0, "lesion 1"), "occlusion", heat)


def test_a_slice_its_map_and_the_lesion_from_near(explanation: Explanation) -> None:
    figure = draw(explanation)
    whole, over, near, bar = figure.axes
    assert [len(axis.images) for axis in (whole, over, near)] == [1, 2, 2]
    heat = over.images[1]
    assert (bar.get_ylabel(), heat.get_clim()) == ("drop [log-odds]", (-4, 4))
    assert heat.get_array()[51, 11] == 4
    opacity = heat.get_alpha()
    assert opacity[51, 11] == pytest.approx(2 * opacity[45, 3])  # the root of what it says
    assert opacity[0, 0] == 0  # not looked at
    for axis in (whole, over, near):
        (outline,) = (path for found in axis.collections for path in found.get_paths())
        assert (outline.vertices.min(axis=0), outline.vertices.max(axis=0)) == (
            pytest.approx([9.5, 49.5]),
            pytest.approx([13.5, 52.5]),
        )
        assert axis.get_aspect() == 2
    assert near.get_xlim() == (-0.5, 23.5)
    assert near.get_ylim() == (62.5, 38.5)  # the back is below
    assert figure.get_suptitle() == "occlusion: lesion 1, slice 1\nweights:"


def test_what_is_explained_is_marked_where_it_is_not_all_that_is_predicted(explanation: Explanation) -> None:
    assert not draw(explanation).axes[0].lines
    alone = np.zeros((64, 100), bool)
    alone[5, 30] = True
    pixel = replace(explanation, place=replace(explanation.place, region=alone))
    slice_ = draw(pixel).axes[0]
    assert slice_.get_title() == "slice and predicted contour; white: what is explained"
    assert slice_.lines[0].get_xydata().tolist() == [[30, 5]]
    assert len(slice_.collections) == 2
    assert not draw(replace(pixel, method="uncertainty")).axes[0].lines


def test_a_small_region_in_a_large_slice_is_shown_near_and_inside_the_slice() -> None:
    region = np.zeros((512, 512), bool)
    region[500:508, 250:262] = True
    assert zoom_box(region, region.shape) == (slice(384, 512), slice(192, 320))
    large = np.zeros((512, 512), bool)
    large[100:220, 100:220] = True
    assert zoom_box(large, large.shape) is None
    assert zoom_box(region[400:, 200:300], (112, 100)) == (slice(76, 112), slice(38, 74))
    assert zoom_box(region[490:, 230:280], (22, 50)) is None
    assert zoom_box(np.zeros((512, 512), bool), (512, 512)) is None
