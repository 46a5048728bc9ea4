"""Where a picture is enlarged."""

from __future__ import annotations

import numpy as np

from lungzoo.explain.picture import zoom_box


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
