import math
import re

import numpy as np
import pytest
from scipy.stats import t

from lungzoo.errors import UsageError
from lungzoo.statistics.cases import TooFew
from lungzoo.statistics.paired import compare
from lungzoo.statistics.resolution import resolution, resolution_of_one


def test_one_seed_by_hand():
    # Differences ±0.1 of ten patients: variance 0.1/9, squared error 0.1/90.
    second = np.tile([0.1, -0.1], 5)
    found = resolution(compare([np.zeros(10), second], np.arange(10), draws=500))
    expected = (t.ppf(0.975, 9) + t.ppf(0.8, 9)) * math.sqrt(0.1 / 90)
    assert found.difference == pytest.approx(expected)
    assert found.sentence == (
        "Two arms whose Dice differs by 0.1 are told apart with 80% power, smaller differences less often (two-sided "
        "5%, one pair, 10 patients, 10 cases). Seed noise is not in this figure: it holds for these trained networks."
    )


def test_seeds_make_it_larger():
    rng = np.random.default_rng(0)
    patients = rng.beta(5, 2, 40)
    values = patients + rng.normal(0, 0.05, (2, 3, 40))
    noisy = values + rng.normal(0, 0.05, (2, 3, 1))
    quiet, loud = (resolution(compare(each, np.arange(40), draws=500)) for each in (values, noisy))
    assert loud.difference > quiet.difference
    assert "40 patients, 40 cases, 3 seeds" in loud.sentence


def test_arms_that_are_the_same_networks_do_not_make_it_smaller():
    one, other = np.random.default_rng(2).beta(5, 2, (2, 3, 40))
    two, four = (compare(each, np.arange(40), draws=500) for each in ([one, other], [one, one, one, other]))
    assert resolution(four).difference == pytest.approx(resolution(two).difference)
    assert (
        "(two-sided 5%, the median of the 3 of 6 pairs whose arms differ, before Holm's correction, 40 patients, "
        in resolution(four).sentence
    )


def test_arms_that_are_all_the_same_networks_say_nothing_however_seeds_differ():
    one = np.random.default_rng(2).beta(5, 2, (3, 40)) + np.array([[0.0], [0.1], [0.2]])
    for arms in ([one, one], [one, one, one]):
        found = resolution(compare(arms, np.arange(40), draws=500))
        assert math.isnan(found.difference)
        assert found.sentence.startswith("Nothing can be said about the smallest difference in Dice: no patient")


def test_five_patients_can_show_nothing():
    found = resolution(compare(np.random.default_rng(1).random((2, 3, 5)), np.arange(5), draws=500), metric="IoU")
    assert math.isinf(found.difference)
    assert found.sentence.startswith(
        "This test set can show no difference in IoU: with 5 patients the smallest possible p is 0.062, above 0.05"
    )


def test_one_arm_with_an_assumed_correlation():
    values = np.tile([0.3, 0.5], 5)
    found = resolution_of_one(values, np.arange(10), correlation=0.5)
    # Twice (1 − 0.5) of the arm's own squared error, 10·0.01/9/10.
    assert found.difference == pytest.approx((t.ppf(0.975, 9) + t.ppf(0.8, 9)) * math.sqrt(0.1 / 90))
    assert "assumed: a second arm like this one, correlation 0.5" in found.sentence
    assert math.isnan(resolution_of_one(values, np.arange(10), correlation=None).difference)


def test_patients_that_do_not_differ_say_nothing():
    found = resolution(compare(np.ones((2, 3, 12)), np.arange(12), draws=500))
    assert math.isnan(found.difference)
    assert "Nothing can be said" in found.sentence


def test_wrong_input():
    with pytest.raises(TooFew, match=re.escape("Received: 1 with a value.")):
        resolution_of_one(np.ones(4), np.zeros(4))
    with pytest.raises(UsageError, match="Power and alpha are shares"):
        resolution_of_one(np.ones(4), np.arange(4), power=80)
    with pytest.raises(UsageError, match="A correlation is a number between −1 and 1"):
        resolution_of_one(np.ones(4), np.arange(4), correlation=2)
