import math
import re

import numpy as np
import pytest
from scipy.stats import t

from lungzoo.errors import UsageError
from lungzoo.statistics.bootstrap import intervals, patient_bootstrap
from lungzoo.statistics.cases import OneSeed

NAN = float("nan")
STUDIES = 300


def dice_like(rng: np.random.Generator, patients: int, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skewed values with zeros, (seeds, cases), one to twenty slices for each patient."""
    who = np.repeat(np.arange(patients), np.minimum(rng.geometric(0.2, patients), 20))
    quality = rng.beta(5, 1.6, patients)[who]
    found = rng.random(len(who)) > rng.beta(0.6, 4, patients)[who]
    return np.where(found, np.clip(quality + rng.normal(0, 0.05, len(who)), 0, 1), 0) + level[:, None], who


# Mean over slices of what `dice_like` draws at level 0: 5/6.6 · 4/4.6, less what clipping cuts off.
TRUTH = 0.6544


def plain_percentiles(values: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    totals, sizes = np.bincount(units, values), np.bincount(units)
    chosen = rng.integers(0, len(totals), (300, len(totals)))
    low, high = np.quantile(totals[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def test_mean_and_counts():
    interval = patient_bootstrap(np.array([0.2, 0.4, NAN, 0.9]), np.array(["a", "a", "b", "c"]), 500, seed=0)
    assert interval.mean == pytest.approx(0.5)
    assert (interval.cases, interval.patients) == (3, 2)
    assert interval.low <= interval.mean <= interval.high


def test_many_even_patients_give_the_t_interval():
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    interval = patient_bootstrap(values, np.arange(400), 20_000, seed=0)
    half = t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03 * half)


def test_ends_agree_with_a_loop_over_resamples():
    rng = np.random.default_rng(1)
    values, who = dice_like(rng, 15, np.zeros(1))
    totals, sizes = np.bincount(who, values[0]), np.bincount(who)
    mean = totals.sum() / sizes.sum()
    error = math.sqrt(((totals - mean * sizes) ** 2).sum() * 15 / 14) / sizes.sum()
    ratios = []
    for _ in range(20_000):
        total, size = (side[chosen] for chosen in [rng.integers(0, 15, 15)] for side in (totals, sizes))
        moved = total.sum() / size.sum()
        own = math.sqrt(((total - moved * size) ** 2).sum() * 15 / 14) / size.sum()
        ratios.append((moved - mean) / max(own, math.sqrt(0.05) * error))
    lowest, highest = np.quantile(ratios, [0.025, 0.975])
    interval = patient_bootstrap(values[0], who, 20_000, seed=2)
    expected = (mean - highest * error, mean - lowest * error)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.15 * error)


def test_slices_of_one_patient_do_not_narrow_the_interval():
    means = np.random.default_rng(3).normal(0.7, 0.1, 40)
    single = patient_bootstrap(means, np.arange(40), 2000, seed=0)
    repeated = patient_bootstrap(np.repeat(means, 25), np.repeat(np.arange(40), 25), 2000, seed=0)
    assert repeated.high - repeated.low == pytest.approx(single.high - single.low, rel=1e-4)


def test_twenty_patients_are_covered_and_slices_taken_for_patients_are_not():
    rng = np.random.default_rng(5)
    ours = slices = 0
    for study in range(STUDIES):
        values, who = dice_like(rng, 20, np.zeros(1))
        interval = patient_bootstrap(values[0], who, 500, seed=study)
        ours += interval.low <= TRUTH <= interval.high
        low, high = plain_percentiles(values[0], np.arange(len(who)), rng)
        slices += low <= TRUTH <= high
    assert 0.91 <= ours / STUDIES <= 0.98
    assert slices / STUDIES < 0.85


def test_three_seeds_are_covered_and_patients_alone_are_not_enough():
    rng = np.random.default_rng(6)
    both = patients_alone = 0
    for study in range(STUDIES):
        values, who = dice_like(rng, 60, rng.normal(0, 0.06, 3))
        for over in ("seeds", "patients"):
            found = intervals([values], who, draws=300, seed=study, over=over)
            covered = bool(found.low[0] <= TRUTH <= found.high[0])
            both += covered and over == "seeds"
            patients_alone += covered and over == "patients"
    assert 0.91 <= both / STUDIES <= 0.985
    assert patients_alone / STUDIES < 0.88


def test_one_seed_is_refused_over_seeds_and_named_over_patients():
    values, who = [np.random.default_rng(0).random((2, 40)), np.random.default_rng(1).random((1, 40))], np.arange(40)
    with pytest.raises(OneSeed, match="Arm 1 was trained once"):
        intervals(values, who, over="seeds")
    found = intervals(values, who, draws=500)
    assert found.over_seeds.tolist() == [True, False]
    assert found.seeds.tolist() == [2, 1]
    assert found.notes[0].startswith("1 of 2 interval(s) are conditional on these trained networks")


def test_an_interval_that_is_none_is_not_called_conditional():
    lone = intervals([[0.1, 0.4]], np.array([0, 0]), draws=500)
    assert lone.notes == ("Fewer than two patients: no interval.",)
    mixed = intervals([[0.1, 0.4, 0.6], [0.1, 0.4, NAN]], np.array([0, 0, 1]), draws=500)
    assert mixed.notes[0].startswith("1 of 1 interval(s) are conditional")
    assert mixed.notes[-1] == "Fewer than two patients: no interval."


def test_arms_do_not_depend_on_their_company():
    rng = np.random.default_rng(7)
    who = np.repeat(np.arange(20), 3)
    one, other = rng.random((3, 60)), rng.random((2, 60))
    other[:, :9] = NAN
    together = intervals([one, other, one], who, draws=500, seed=4)
    alone = intervals([other], who, draws=500, seed=4)
    assert (together.low[1], together.high[1]) == pytest.approx((alone.low[0], alone.high[0]), rel=1e-5)
    assert together.low[0] == together.low[2]
    assert together.patients.tolist() == [20, 17, 20]


def test_same_seed_same_interval_in_any_order_of_cases():
    values, who = dice_like(np.random.default_rng(8), 30, np.zeros(3))
    turn = np.random.default_rng(9).permutation(len(who))
    first, again = (intervals([values[:, o]], who[o], draws=500, seed=1) for o in (np.arange(len(who)), turn))
    assert (first.low[0], first.high[0]) == pytest.approx((again.low[0], again.high[0]), rel=1e-5)
    moved = intervals([values + 1], who, draws=500, seed=1)
    assert moved.low[0] - 1 == pytest.approx(first.low[0], abs=1e-5)
    assert intervals([values], who, draws=500, seed=2).low[0] != first.low[0]


def test_limits_of_the_metric_end_the_interval():
    found = intervals([[1.0, 1.0, 0.9, 0.2]], np.arange(4), draws=500, limits=(0, 1))
    assert (found.low[0], found.high[0]) == (0.0, 1.0)
    assert found.notes[1] == "Only 4 patients: intervals of so few cover less often than they say."


def test_one_patient_no_case_and_equal_values():
    one = patient_bootstrap(np.array([0.2, 0.4]), np.array(["a", "a"]), 500, seed=0)
    assert one.mean == pytest.approx(0.3)
    assert math.isnan(one.low)
    none = patient_bootstrap(np.array([NAN]), np.array(["a"]), 500, seed=0)
    assert math.isnan(none.mean)
    assert (none.cases, none.patients) == (0, 0)
    equal = intervals([np.full((2, 30), 0.7)], np.arange(30), draws=500)
    assert (equal.low[0], equal.high[0]) == pytest.approx((0.7, 0.7))
    assert "no width" in equal.notes[0]


def test_a_value_that_one_patient_alone_departs_from_has_finite_ends():
    found = intervals([np.r_[np.ones(19), 0.5]], np.arange(20), draws=1000)
    assert np.isfinite([found.low[0], found.high[0]]).all()
    assert found.low[0] < 0.975 <= found.high[0]


@pytest.mark.parametrize(
    ("draws", "level", "message"),
    [
        (50, 0.95, "Too few bootstrap draws. Received: 50."),
        (500, 95, "The level of an interval is a share. Received: 95."),
    ],
)
def test_settings_that_no_interval_can_be_made_of(draws, level, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        intervals([np.ones(4)], np.arange(4), draws=draws, level=level)


def test_two_patients_get_no_less_than_students_t():
    # Means 0 and 1: standard error 0.5 and one degree of freedom.
    interval = patient_bootstrap(np.array([0.0, 1.0]), np.array(["a", "b"]), 4000, seed=1)
    half = t.ppf(0.975, 1) * 0.5
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half))
