import re

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.statistics.cases import DifferentCases, check_same_cases, patient_sums

NAN = float("nan")


def test_values_are_summed_over_each_patients_cases():
    sums = patient_sums([[[0.2, 0.4, NAN, 0.9], [0.1, 0.3, 0.5, NAN]]], np.array(["b", "b", "a", "a"]))
    assert sums.names.tolist() == ["a", "b"]
    assert sums.totals[0] == pytest.approx(np.array([[0.9, 0.6], [0.5, 0.4]]))
    assert sums.counts[0].tolist() == [[1, 2], [1, 2]]
    assert (sums.seeds.tolist(), sums.cases.tolist()) == ([2], [4])


def test_folds_belong_to_patients():
    sums = patient_sums([np.ones(4)], np.array(["a", "b", "a", "c"]), np.array([1, 0, 1, 0]))
    assert sums.fold.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("values", "folds", "message"),
    [
        ([], None, "There is no arm. Received: an empty list."),
        ([np.ones(3)], None, "Arm 0 does not fit the cases. Received: values (1, 3), 2 patient name(s)."),
        ([np.ones(2), np.ones((0, 2))], None, "Arm 1 does not fit the cases."),
        ([np.ones((2, 2, 2))], None, "Arm 0 does not fit the cases."),
        ([[0.1, float("inf")]], None, "Arm 0 has 1 infinite value(s). Allowed: finite values, or NaN"),
        ([np.ones(2)], np.array([0, 1, 1]), "Folds do not fit the cases. Received: 3 fold(s) for 2 case(s)."),
        ([np.ones(2)], np.array([0, 1]), "Patient 'a' is in more than one fold."),
    ],
)
def test_values_that_do_not_fit(values, folds, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        patient_sums(values, np.array(["a", "a"]), folds)


def test_arms_scored_on_different_cases():
    arms = [np.array([[0.1, NAN, 0.3, 0.4]]), np.array([[0.1, NAN, 0.3, 0.4], [0.1, 0.2, NAN, 0.4]])]
    check_same_cases(arms[:1] * 2)
    with pytest.raises(DifferentCases, match=re.escape("Arm 1 was scored on other cases than arm 0: 2 of 4 case(s)")):
        check_same_cases(arms)
