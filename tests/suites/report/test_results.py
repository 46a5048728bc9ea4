"""What is read back, and what is refused, with the reason as a row."""

import numpy as np

from lungzoo.suites.report.results import load_results


def loaded(study):
    return load_results(study.suite, study.tracker)


def test_values_are_of_the_cases_that_a_metric_is_meant_for(study, cases):
    found = cases([0.5, np.nan, 0.1], group=["lesion", "empty", "small"], false_positive_rate=[1.0, 1.0, 1.0])
    study.finish(study.plan(), found)
    results = loaded(study)
    (arm,) = results.arms
    np.testing.assert_allclose(results.values(arm, "dice"), [[0.5, np.nan, np.nan]])
    np.testing.assert_allclose(results.values(arm, "false_positive_rate"), [[np.nan, 1.0, np.nan]])
    assert results.folds is None
    assert results.patients.tolist() == ["patient-0", "patient-1", "patient-2"]


def test_results_that_are_gone_make_a_failed_row(study, cases):
    study.finish(study.plan("scratch"), cases([0.5] * 3))
    study.finish(study.plan("imagenet-frozen"), None)
    kept, gone = loaded(study).arms
    assert (kept.status, gone.status) == ("finished", "failed")
    assert gone.reason == (
        "The per-case results of 'unet_mobilenetv2 / imagenet-frozen', seed 0, are gone. Run the suite again."
    )


def test_results_that_cannot_be_read_make_a_failed_row(study, cases):
    run = study.plan()
    study.finish(run, cases([0.5] * 3))
    (study.tracker.folder / run.fingerprint / "per_case.csv").write_text("case,dice\nx,0.5\n")
    assert "cannot be read" in loaded(study).arms[0].reason


def test_other_versions_of_the_metrics_are_not_mixed_in(study, cases):
    study.finish(study.plan(), cases([0.5] * 3), metrics_version=0)
    (arm,) = loaded(study).arms
    assert arm.status == "failed"
    assert "was scored by version 0 of the metrics; this is version 1" in arm.reason


def test_runs_that_were_scored_on_other_cases_are_not_mixed_in(study, cases):
    study.finish(study.plan(seed=0), cases([0.5] * 3))
    study.finish(study.plan(seed=1), cases([0.5] * 4))
    (arm,) = loaded(study).arms
    assert arm.status == "1 of 2 seeds"
    assert "on other cases than the runs before it: 1 differ, such as case-3" in arm.reason


def test_folds_are_one_table(study, cases):
    study.finish(study.plan(seed=0, fold=0), cases([0.2, 0.4]))
    study.finish(study.plan(seed=0, fold=1), cases([0.9], ["other"], case="u"))
    results = loaded(study)
    assert results.folds.tolist() == [0, 0, 1]
    np.testing.assert_allclose(results.values(results.arms[0], "dice"), [[0.2, 0.4, 0.9]], rtol=1e-6)


def test_further_columns_are_kept(study, cases):
    study.finish(study.plan(), cases([0.5, 0.6], agreement_readers_pairwise=[0.7, np.nan]))
    (arm,) = loaded(study).arms
    np.testing.assert_allclose(arm.extra["agreement_readers_pairwise"], [[0.7, np.nan]], rtol=1e-6)


def test_a_value_that_is_not_there_does_not_spread(study, cases):
    study.finish(study.plan(), cases([0.5, 0.6, 0.7], hd95_mm=[1.0, np.nan, 3.0]))
    results = loaded(study)
    assert np.isfinite(results.values(results.arms[0], "dice")).all()
    np.testing.assert_allclose(results.values(results.arms[0], "hd95_mm"), [[1.0, np.nan, 3.0]])


def test_infinite_values_make_a_failed_row(study, cases):
    study.finish(study.plan(), cases([0.5, 0.6, 0.7], hd95_mm=[1.0, np.inf, 3.0]))
    assert "hold 1 infinite value(s). Run the suite again" in loaded(study).arms[0].reason
