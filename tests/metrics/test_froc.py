"""A curve worked out by hand, and candidates from drawn maps."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.froc import FALSE_POSITIVE_RATES, Candidates, candidates_of, froc

NONE = Candidates(np.array([]), np.array([], int), 0)


def candidates(lesions, *pairs):
    return Candidates(np.array([score for score, _ in pairs]), np.array([hit for _, hit in pairs], int), lesions)


def test_four_volumes():
    scans = [
        candidates(2, (0.9, 0), (0.8, 0), (0.3, 1)),
        candidates(1, (0.7, -1), (0.6, 0)),
        candidates(0, (0.5, -1)),
        candidates(1, (0.4, -1)),
    ]
    curve = froc(scans, per="volume")
    # From the top: hit, again on the same lesion, false, hit, false, false, hit.
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    assert curve.false_positives.tolist() == [0, 0, 0.25, 0.25, 0.5, 0.75, 0.75]
    assert curve.sensitivity.tolist() == [0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
    assert (curve.scans, curve.lesions, curve.candidates) == (4, 4, 7)
    assert curve.axis == "False positives per volume"
    # To 1/4 the first false positive leads, which finds nothing; beyond 3/4 nothing more is found.
    expected = [0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert curve.sensitivities() == pytest.approx(dict(zip(FALSE_POSITIVE_RATES, expected, strict=True)))
    assert curve.score == pytest.approx(4.25 / 7)


def test_equal_scores_come_together():
    curve = froc([candidates(1, (0.5, -1), (0.5, 0))], per="slice")
    assert (curve.false_positives.tolist(), curve.sensitivity.tolist()) == ([1.0], [1.0])
    assert curve.sensitivity_at(0.5) == 0.5  # from no candidates to both
    assert curve.axis == "False positives per slice"


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    score, lesion = rng.integers(0, 5, 40) / 5, rng.integers(-1, 6, 40)
    mixed = rng.permutation(40)
    first = froc([Candidates(score, lesion, 6)], "volume")
    second = froc([Candidates(score[mixed], lesion[mixed], 6)], "volume")
    assert (first.sensitivity == second.sensitivity).all()
    assert (first.false_positives == second.false_positives).all()


@pytest.mark.parametrize(
    ("scans", "expected"),
    [
        ([NONE], math.nan),
        ([candidates(0, (0.5, -1))], math.nan),
        ([candidates(2)], 0.0),
        ([candidates(1, (0.5, 0)), NONE], 1.0),
    ],
    ids=["nothing", "no-lesions", "no-candidates", "all-found"],
)
def test_answers_where_something_is_missing(scans, expected):
    assert froc(scans, "volume").score == pytest.approx(expected, nan_ok=True)


def test_candidates_of_a_map(drawn):
    reference = drawn("##....", "##....", "......", "......", "....##", "....##")
    probability = 0.8 * drawn("##....", "#.....", "......", "......", "......", "##....")
    probability[1, 1], probability[5, 0], probability[4, 4] = 0.95, 0.3, 0.1
    found = candidates_of(probability, reference, 0.2)
    assert found.score.tolist() == [0.95, 0.8]
    assert found.lesion.tolist() == [0, -1]
    assert found.lesions == 2
    assert candidates_of(probability, reference, 0.2, hit_iou=1.0).lesion.tolist() == [0, -1]
    assert candidates_of(probability.astype(np.float32), reference, 0.05).lesion.tolist() == [0, 1, -1]


def test_candidates_of_a_volume():
    reference = np.zeros((3, 4, 4), bool)
    reference[0:2, 1, 1] = True
    found = candidates_of(0.7 * reference, reference)
    assert (found.score.tolist(), found.lesion.tolist(), found.lesions) == ([0.7], [0], 1)


def test_candidates_of_empty_masks(drawn):
    empty, lesion = drawn("...."), drawn("##..")
    both = candidates_of(0.0 * empty, empty)
    assert (len(both.score), both.lesions) == (0, 0)
    invented = candidates_of(0.9 * lesion, empty)
    assert (invented.score.tolist(), invented.lesion.tolist(), invented.lesions) == ([0.9], [-1], 0)
    missed = candidates_of(0.0 * lesion, lesion)
    assert (len(missed.score), missed.lesions) == (0, 1)


@pytest.mark.parametrize(
    ("score", "lesion", "lesions", "message"),
    [
        ([0.5], [0, 1], 2, r"a score and a lesion each. Received: \(1,\) and \(2,\)"),
        ([math.nan], [0], 1, "score of a candidate is NaN"),
        ([0.5], [1], 1, r"-1 \(none\) or from 0 to 0.* Received: \[1\]"),
        ([0.5], [-2], 1, r"Received: \[-2\]"),
        ([0.5], [0.0], 1, "must be integers. Received: float64"),
        ([], [], -1, "lesions of its scan"),
    ],
)
def test_what_are_no_candidates_is_refused(score, lesion, lesions, message):
    with pytest.raises(UsageError, match=message):
        Candidates(np.array(score), np.array(lesion), lesions)


def test_a_curve_needs_scans_of_a_kind():
    with pytest.raises(UsageError, match=r"at least one scan. Received: none"):
        froc([], "volume")
    with pytest.raises(UsageError, match=r"per='patient'. Allowed: 'slice', 'volume'"):
        froc([NONE], "patient")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold must be above 0 and at most 1. Received: 0.0"),
        ({"threshold": math.nan}, "threshold must be above 0"),
        ({"hit_iou": 0.0}, "hit_iou must be above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(drawn, options, message):
    with pytest.raises(UsageError, match=message):
        candidates_of(0.5 * drawn("#."), drawn("#."), **options)


def test_candidates_need_a_slice_or_a_volume():
    with pytest.raises(UsageError, match=r"Received: \(3,\)"):
        candidates_of(np.zeros(3), np.zeros(3, bool))


def test_the_curve_is_the_one_that_counting_at_each_score_gives():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scans = []
        for lesions in rng.integers(0, 4, rng.integers(3, 12)):
            number = int(rng.integers(0, 8))
            scans.append(Candidates(rng.integers(0, 20, number) / 20, rng.integers(-1, lesions, number), int(lesions)))
        curve = froc(scans, "volume")
        for threshold, false, sensitivity in zip(
            curve.threshold, curve.false_positives, curve.sensitivity, strict=True
        ):
            kept = [scan.lesion[scan.score >= threshold] for scan in scans]
            assert false == pytest.approx(np.mean([(lesion < 0).sum() for lesion in kept]))
            found = sum(len(set(lesion[lesion >= 0].tolist())) for lesion in kept)
            assert curve.lesions == 0 or sensitivity == pytest.approx(found / curve.lesions)


@pytest.mark.parametrize("rate", [-0.1, math.nan])
def test_a_rate_is_a_number_of_false_positives(rate):
    with pytest.raises(UsageError, match="rate of false positives must be 0 or more"):
        froc([candidates(1, (0.5, 0))], "volume").sensitivity_at(rate)
