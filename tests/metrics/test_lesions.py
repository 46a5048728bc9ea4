"""Components and hits, drawn."""

import numpy as np
import pytest

from lungzoo.metrics.lesions import label_components, match_lesions


def match(reference, prediction, **options):
    return match_lesions(label_components(reference), label_components(prediction), **options)


def test_pixels_that_touch_with_a_corner_are_one_lesion(drawn):
    labels = label_components(drawn("#....", ".#...", "....#"))
    assert labels.max() == 2
    assert labels[0, 0] == labels[1, 1] != labels[2, 4]


def test_voxels_that_touch_with_a_corner_are_one_lesion():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert label_components(mask).max() == 1


def test_two_lesions_one_found_one_invented(drawn):
    reference = drawn("##....", "##....", "......", "......", "....##", "....##")
    prediction = drawn(".##...", ".##...", "......", "......", "......", "##....")
    found = match(reference, prediction)  # the first shares 2 of 6 pixels, IoU 1/3
    assert found.reference_hit.tolist() == [True, False]
    assert found.prediction_lesion.tolist() == [0, -1]
    assert (found.sensitivity, found.false_positives) == (0.5, 1)


def test_a_hit_begins_at_an_iou_of_one_tenth(drawn):
    lesion = drawn("#.....", "......", "......", "......", "......", "......")
    ten = drawn("######", "####..", "......", "......", "......", "......")
    eleven = drawn("######", "#####.", "......", "......", "......", "......")
    assert match(lesion, ten).sensitivity == 1.0
    assert match(lesion, eleven).sensitivity == 0.0
    assert match(lesion, eleven).false_positives == 1


def test_one_prediction_may_hit_two_lesions_and_belongs_to_the_better_one(drawn):
    reference = drawn("#.##..", "......")
    prediction = drawn("####..", "......")
    found = match(reference, prediction)  # IoU 1/4 and 2/4
    assert found.reference_hit.tolist() == [True, True]
    assert found.prediction_lesion.tolist() == [1]


def test_between_equal_lesions_the_first_is_taken(drawn):
    assert match(drawn("#.#..."), drawn("###...")).prediction_lesion.tolist() == [0]


def test_fragments_may_hit_one_lesion(drawn):
    found = match(drawn("#####."), drawn("##.##."))
    assert found.reference_hit.tolist() == [True]
    assert found.prediction_lesion.tolist() == [0, 0]


def test_noise_needs_little_memory():
    rng = np.random.default_rng(0)
    dots = np.zeros((512, 512), bool)
    dots[::2, ::2] = rng.random((256, 256)) < 0.9  # 59 000 components on either side
    found = match(dots, dots)
    assert found.sensitivity == 1.0
    assert (found.prediction_lesion == np.arange(len(found.reference_hit))).all()


@pytest.mark.parametrize("side", [0, 1])
def test_nothing_hits_nothing(drawn, side):
    masks = [drawn("##..", "...."), drawn("....", "....")]
    found = match(masks[side], masks[1 - side])
    assert (len(found.reference_hit), len(found.prediction_lesion)) == (1 - side, side)
    assert not found.reference_hit.any()
    assert (found.prediction_lesion == -1).all()
