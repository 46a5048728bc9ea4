import re

import numpy as np
import pytest

from lungzoo.statistics.cases import DifferentCases, TooFew
from lungzoo.statistics.paired import compare

NAN = float("nan")


def arms(rng: np.random.Generator, shifts: list[float], seeds: int, patients: int, seed_sd: float) -> np.ndarray:
    """Values (arms, seeds, patients · 3)."""
    base = np.repeat(rng.beta(5, 2, patients), 3)
    level = rng.normal(0, seed_sd, (len(shifts), seeds, 1))
    noise = np.repeat(rng.normal(0, 0.05, (len(shifts), seeds, patients)), 3, axis=2)
    return base + np.array(shifts)[:, None, None] + level + noise


def test_six_patients_one_seed_by_hand():
    # Sums per patient, first − second: 0.2, 0.1 ×5; all alike in sign: 2 of 64. The mean is 0.7 over 7 cases.
    who = np.array([0, 0, 1, 2, 3, 4, 5])
    first = np.full(7, 0.6)
    found = compare([first, first - 0.1], who, draws=500)
    assert found.difference.tolist() == pytest.approx([0.1])
    assert found.p.tolist() == [2 / 64]
    assert found.p_wilcoxon.tolist() == [2 / 64]
    assert found.over_seeds.tolist() == [False]
    assert found.letters == ("a", "b")
    assert (found.cases, found.patients, found.seeds.tolist()) == (7, 6, [1, 1])
    assert found.notes[0].startswith("2 of 2 arm(s) were trained with one seed")


def test_pairs_are_numbered_and_corrected():
    who = np.repeat(np.arange(40), 3)
    found = compare(arms(np.random.default_rng(0), [0, 0, 0.1], 3, 40, 0.005), who, draws=1000)
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert found.letters == ("b", "b", "a")
    assert np.all(found.p_holm >= found.p)
    assert np.all((found.low < found.difference) & (found.difference < found.high))
    assert found.high[1] < 0 < found.high[0]
    assert found.ranks.average.argmin() == 2
    assert found.ranks.cliques == ((2,), (1, 0)) or found.ranks.cliques == ((2,), (0, 1))


def test_seed_noise_is_not_claimed():
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(50), 3)
    claimed = conditional = 0
    for study in range(100):
        values = arms(rng, [0, 0], 3, 50, 0.04)
        claimed += compare(values, who, draws=200, seed=study).p[0] <= 0.05
        conditional += compare(values[:, :1], who, draws=200, seed=study).p[0] <= 0.05
    assert claimed <= 11
    assert conditional > 50


def test_arms_that_are_the_same_networks_tell_no_more_of_seeds():
    one, other = arms(np.random.default_rng(4), [0, 0], 3, 30, 0.02)
    who = np.repeat(np.arange(30), 3)
    two, four = (compare(each, who, draws=500) for each in ([one, other], [one, one, one, other]))
    apart = four.second == 3
    assert four.spread.patient[~apart].tolist() == [0, 0, 0]
    for name in ("seed", "observed", "seed_df"):
        assert getattr(four.spread, name)[apart].tolist() == getattr(two.spread, name).tolist() * 3


def test_unequal_numbers_of_seeds():
    values = arms(np.random.default_rng(2), [0, 0, 0.2], 5, 30, 0.01)
    found = compare([values[0], values[1, :3], values[2, :1]], np.repeat(np.arange(30), 3), draws=500)
    assert found.seeds.tolist() == [5, 3, 1]
    assert found.over_seeds.tolist() == [True, False, False]
    assert "Arms have between 1 and 5 seeds; each counts with its own." in found.notes


def test_order_of_cases_and_a_constant_change_nothing():
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(25), 3)
    values = arms(rng, [0, 0.03, 0.06], 3, 25, 0.01)
    values[:, :, ::7] = NAN
    turn = rng.permutation(75)
    plain, turned, moved = (
        compare(v, w, draws=500) for v, w in ((values, who), (values[:, :, turn], who[turn]), (values + 2, who))
    )
    for other in (turned, moved):
        for field in ("difference", "low", "high", "p", "p_holm", "p_wilcoxon"):
            assert getattr(other, field) == pytest.approx(getattr(plain, field), rel=1e-3, abs=1e-5), field
    again = compare(values, who, draws=500)
    assert np.array_equal(again.low, plain.low)


def test_exchanged_arms_exchange_the_sign():
    values = arms(np.random.default_rng(4), [0, 0.05], 3, 20, 0.01)
    who = np.repeat(np.arange(20), 3)
    one, other = compare(values, who, draws=500), compare(values[::-1], who, draws=500)
    assert (one.low[0], one.high[0]) == pytest.approx((-other.high[0], -other.low[0]), rel=1e-4)
    assert one.p[0] == pytest.approx(other.p[0])


def test_lower_can_be_better():
    values = arms(np.random.default_rng(5), [0, 0.5], 2, 20, 0.001)
    found = compare(values, np.repeat(np.arange(20), 3), draws=500, higher_is_better=False)
    assert found.letters == ("a", "b")
    assert found.ranks.average.tolist() == [1.0, 2.0]


def test_equal_arms_do_not_differ():
    values = np.random.default_rng(6).random((1, 2, 30)).repeat(2, axis=0)
    found = compare(values, np.arange(30), draws=500)
    assert (found.difference[0], found.p[0], found.p_wilcoxon[0], found.letters) == (0, 1, 1, ("a", "a"))


def test_values_that_never_vary_do_not_differ():
    found = compare(np.full((3, 3, 12), 0.4), np.arange(12), draws=500)
    assert found.p.tolist() == [1, 1, 1]
    assert found.low.tolist() == found.high.tolist() == [0, 0, 0]


def test_five_patients_can_show_nothing():
    found = compare(np.array([np.full((3, 5), 0.9), np.full((3, 5), 0.1)]), np.arange(5), draws=500)
    assert found.letters == ("a", "a")
    assert found.notes == ("Only 5 patients: intervals of so few cover less often than they say.",)


def test_six_patients_can_show_something_of_two_arms_and_nothing_of_three():
    arms = [np.full((3, 6), mean) for mean in (0.9, 0.5, 0.1)]
    assert compare(np.array(arms[:2]), np.arange(6), draws=500).letters == ("a", "b")
    found = compare(np.array(arms), np.arange(6), draws=500)
    assert found.letters == ("a", "a", "a")
    assert found.notes[0] == (
        "6 patients cannot show any difference among so many arms: the smallest corrected p of 3 pairs is 0.094, above "
        "0.05."
    )


def test_folds_have_more_networks_and_say_more():
    rng = np.random.default_rng(7)
    fold = np.arange(60) % 5
    level = rng.normal(0, 0.05, (2, 3, 5))[:, :, fold]
    values = rng.beta(5, 2, 60) + level + rng.normal(0, 0.02, (2, 3, 60))
    with_folds, without = compare(values, np.arange(60), fold, draws=500), compare(values, np.arange(60), draws=500)
    assert with_folds.spread.seed_df[0] > without.spread.seed_df[0]


@pytest.mark.parametrize(
    ("values", "patients", "error", "message"),
    [
        (np.ones((1, 2, 4)), [0, 1, 2, 3], TooFew, "A comparison needs two arms. Received: 1."),
        (np.ones((2, 2, 4)), [0, 0, 0, 0], TooFew, "Received: 1 patient(s) with a value."),
        (np.full((2, 2, 4), NAN), [0, 1, 2, 3], TooFew, "Received: 0 patient(s) with a value."),
        ([[[0.1, NAN, 1.0]], [[0.1, 0.2, 1.0]]], [0, 1, 2], DifferentCases, "1 of 3 case(s) have a value in one"),
    ],
)
def test_what_cannot_be_compared(values, patients, error, message):
    with pytest.raises(error, match=re.escape(message)):
        compare(values, np.array(patients))


def test_forty_five_arms():
    values = arms(np.random.default_rng(8), list(np.linspace(0, 0.3, 45)), 3, 60, 0.003)
    found = compare(values, np.repeat(np.arange(60), 3), draws=500)
    assert len(found.p_holm) == 990
    # More draws than any could be would be needed to say this by counting.
    assert found.p_holm.min() < 1e-6
    assert len(set("".join(found.letters))) < 45
    shared = np.array([[bool(set(one) & set(other)) for other in found.letters] for one in found.letters])
    assert np.array_equal(shared, ~found.different)
