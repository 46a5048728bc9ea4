"""Occlusion, with a network whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lungzoo.errors import ConfigError, UsageError
from lungzoo.explain.contract import EXPLANATIONS, Subject
from lungzoo.explain.methods.occlusion import in_pixels, patches
from lungzoo.explain.run import checked_options
from lungzoo.inference.predictor import Predictor

METHOD = EXPLANATIONS.get("occlusion")


def test_the_drop_under_a_patch_is_what_it_covers_of_the_region(
    bright: Predictor, subject_of: Callable[..., Subject]
) -> None:
    """A lesion of 4×4 pixels, grey 255 before 0: log-odds 30. Covered they are -30; half covered, 0 on the mean."""
    image = np.zeros((12, 12), np.uint8)
    image[4:8, 4:8] = 255
    options = METHOD.options(patch="4px", stride="4px", reach="4px")
    values = METHOD.explain(subject_of([bright], image, image > 0), options).values
    assert values[4:8, 4:8] == pytest.approx(60)
    assert values[:4] == pytest.approx(0)
    assert values[8:] == pytest.approx(0)
    half = METHOD.explain(
        subject_of([bright], image, image > 0), METHOD.options(patch="2px", stride="2px", reach="1px")
    )
    assert half.values[5:7, 5:7] == pytest.approx(15)  # a patch at 3, 5 or 7: the middle ones cover 4 of 16 pixels
    assert half.values[3, 3] == pytest.approx(60 / 16)
    assert np.isnan(half.values[0, 0])  # out of reach


def test_covering_the_nodule_lowers_its_log_odds(
    shipped: Predictor, nodule: tuple[np.ndarray, np.ndarray], subject_of: Callable[..., Subject]
) -> None:
    image, region = nodule
    options = METHOD.options(patch="16px", stride="16px", reach="16px")
    values = METHOD.explain(subject_of([shipped], image, region), options).values
    y, x = np.unravel_index(np.nanargmax(values), values.shape)
    assert np.nanmax(values) > 1
    assert region[max(y - 16, 0) : y + 17, max(x - 16, 0) : x + 17].any()
    assert values[region].mean() > 2 * np.nanmean(values[~region])


def test_lengths_in_mm_follow_the_spacing() -> None:
    assert in_pixels("8mm", (2.0, 0.7)) == (4, 11)
    assert in_pixels("3px", (float("nan"),) * 2) == (3, 3)
    assert in_pixels("0.1mm", (1.0, 1.0)) == (1, 1)
    with pytest.raises(UsageError, match=r"does not say how large its pixels are\. Received: 8mm\. Give pixels"):
        in_pixels("8mm", (float("nan"),) * 2)


def test_patches_cover_the_region_and_its_reach_up_to_the_edge() -> None:
    region = np.zeros((10, 30), bool)
    region[8, 12] = True
    found = list(patches(region, (4, 4), (2, 3), (3, 3)))
    assert sorted({(each.start, each.stop) for each, _ in found}) == [(5, 9), (7, 10)]
    assert sorted({(each.start, each.stop) for _, each in found}) == [(9, 13), (12, 16)]


def test_a_patch_of_no_length_is_refused(bright: Predictor) -> None:
    with pytest.raises(
        UsageError, match=r"Occlusion's patch is longer than nothing\. Received: 0px\. Give such as 16px"
    ):
        METHOD.check([bright], METHOD.options(patch="0px"))
    with pytest.raises(UsageError, match=r"Occlusion's stride is longer than nothing\. Received: 0\.0mm"):
        METHOD.check([bright], METHOD.options(stride="0.0mm"))
    METHOD.check([bright], METHOD.options(reach="0px"))


def test_a_length_without_a_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Explanation 'occlusion': patch: .*pattern"):
        checked_options("occlusion", {"patch": "16"})
    with pytest.raises(ConfigError, match=r"Unknown key 'pach'\. Did you mean 'patch'\?"):
        checked_options("occlusion", {"pach": "16px"})
