import math
import re

import numpy as np
import pytest

from lungzoo.statistics.cases import TooFew
from lungzoo.statistics.groups import cliques, friedman, letters


def apart(arms: int, *pairs: tuple[int, int]) -> np.ndarray:
    different = np.zeros((arms, arms), dtype=bool)
    for one, other in pairs:
        different[one, other] = different[other, one] = True
    return different


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        (apart(3), ("a", "a", "a")),
        (apart(3, (0, 2)), ("a", "ab", "b")),
        (apart(3, (0, 1), (0, 2), (1, 2)), ("a", "b", "c")),
        (apart(3, (0, 1), (0, 2)), ("a", "b", "b")),
        # Four in a ring: no group holds three.
        (apart(4, (0, 2), (1, 3)), ("ab", "ac", "cd", "bd")),
        (apart(1), ("a",)),
    ],
)
def test_letters_by_hand(different, expected):
    assert letters(different) == expected


def test_letters_follow_the_table():
    assert letters(apart(3, (0, 2)), np.array([2, 1, 0])) == ("b", "ab", "a")


def test_arms_share_a_letter_exactly_if_no_test_separates_them():
    rng = np.random.default_rng(0)
    for _ in range(30):
        upper = np.triu(rng.random((12, 12)) < 0.5, 1)
        different = upper | upper.T
        marks = letters(different, rng.permutation(12))
        shared = np.array([[bool(set(one) & set(other)) for other in marks] for one in marks])
        assert np.array_equal(shared, ~different)


def test_more_groups_than_letters():
    marks = letters(~np.eye(60, dtype=bool))
    assert (marks[0], marks[26], marks[52]) == ("a", "A", "a2")
    assert len(set(marks)) == 60


def test_groups_of_a_hundred_arms_are_found_at_once():
    upper = np.triu(np.random.default_rng(1).random((100, 100)) < 0.3, 1)
    assert len(cliques(upper | upper.T)) > 10


def test_friedman_by_hand():
    # Ranks 123, 123, 132, 123: sums 4, 9, 11; 12/(4·3·4)·(16 + 81 + 121) − 3·4·4 = 6.5, and exp(−6.5/2) with 2 df.
    values = np.array([[0.9, 0.8, 0.9, 0.7], [0.5, 0.6, 0.3, 0.4], [0.1, 0.2, 0.4, 0.3]])
    ranks = friedman(values, apart(3, (0, 2)))
    assert ranks.average.tolist() == [1.0, 2.25, 2.75]
    assert ranks.statistic == pytest.approx(6.5)
    assert ranks.p == pytest.approx(math.exp(-3.25))
    assert ranks.cliques == ((0, 1), (1, 2))
    assert ranks.patients == 4


def test_friedman_with_ties_and_with_nothing_but_ties():
    # Ranks 1.5 1.5 3 and 1 2 3: sums 2.5, 3.5, 6; squared deviations from 4: 2.25 + 0.25 + 4 = 6.5; spread (1.5 + 2)/2.
    ranks = friedman(np.array([[0.9, 0.8], [0.9, 0.5], [0.1, 0.2]]), apart(3))
    assert ranks.statistic == pytest.approx(6.5 / 1.75)
    assert math.isnan(friedman(np.ones((3, 4)), apart(3)).p)


def test_ranks_need_two_arms_and_two_patients():
    with pytest.raises(TooFew, match=re.escape("Received: 3 arm(s), 1 patient(s).")):
        friedman(np.ones((3, 1)), apart(3))
