"""Sizes and labels."""

import numpy as np
import pytest

from lungzoo.suites.report.report import build_report
from lungzoo.suites.report.strata import diameters_mm, strata, stratum_intervals

from ..conftest import case_table


def results_of(study, **columns):
    count = len(next(iter(columns.values())))
    study.finish(study.plan(), case_table(np.linspace(0.1, 0.9, count).tolist(), **columns))
    return build_report(study.suite, study.tracker, 200).results


def test_a_disc_s_diameter(study):
    results = results_of(study, reference_mm2=[np.pi, 4 * np.pi])
    np.testing.assert_allclose(diameters_mm(results), [2.0, 4.0])


def test_sizes_are_cut_at_six_eight_and_fifteen_mm(study):
    diameters = np.array([5.0, 5.9, 6.0, 7.9, 8.0, 14.9, 15.0, 30.0])
    results = results_of(study, reference_mm2=np.repeat(np.pi * diameters**2 / 4 * (1 + 1e-9), 5))
    found = [(each.title, int(each.cases.sum())) for each in strata(results)]
    assert found == [("< 6 mm", 10), ("6–8 mm", 10), ("8–15 mm", 10), ("≥ 15 mm", 10)]


def test_without_spacing_there_are_thirds_in_pixels(study):
    results = results_of(study, reference_mm2=[np.nan] * 18, reference_px=[10] * 6 + [20] * 6 + [30] * 6)
    assert [each.title for each in strata(results)] == ["< 17 px", "17–23 px", "≥ 23 px"]


def test_slices_of_unknown_spacing_are_left_out_where_most_are_known(study):
    results = results_of(study, reference_mm2=[20.0] * 6 + [45.0] * 6 + [np.nan] * 4)
    assert [(each.title, int(each.cases.sum())) for each in strata(results)] == [("< 6 mm", 6), ("6–8 mm", 6)]


def test_labels_and_lesion_free_cases(study):
    labels = ["benign"] * 6 + ["malignant"] * 6 + [""] * 6
    groups = ["lesion"] * 11 + ["empty"] * 7
    found = strata(results_of(study, label=labels, group=groups, reference_mm2=[50.0] * 18))
    assert [(each.kind, each.title, int(each.cases.sum())) for each in found] == [
        ("label", "benign", 6), ("label", "malignant", 5),
    ]  # fmt: skip


def test_a_stratum_of_four_cases_or_a_lone_one_is_none(study):
    assert strata(results_of(study, label=["a"] * 4 + ["b"] * 9, reference_mm2=[50.0] * 13)) == ()


def test_means_are_those_of_the_stratum_s_cases(study):
    results = results_of(study, label=["a"] * 5 + ["b"] * 5, reference_mm2=[50.0] * 10)
    first = strata(results)[0]
    mean, low, high = stratum_intervals(results, first, "dice", 200)[results.arms[0].arm]
    assert mean == pytest.approx(np.linspace(0.1, 0.9, 10)[:5].mean(), abs=1e-6)
    assert low < mean < high
