"""What is read back, and what is refused, with the reason as a row."""

import numpy as np
import pytest

from lungzoo.suites.report.results import OutOfReach, load_results, usable_runs


def loaded(study):
    return load_results(study.suite, study.tracker)


def usable(study):
    return usable_runs([run.fingerprint for run in study.runs], study.tracker, "dice")


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
        "The per-case results of 'unet_mobilenetv2 / imagenet-frozen', seed 0, are gone. Run it again."
    )


def test_results_that_are_damaged_make_a_failed_row(study, cases):
    run = study.plan()
    study.finish(run, cases([0.5] * 3))
    (study.tracker.folder / run.fingerprint / "per_case.csv").write_text("case,dice\nx,0.5\n")
    assert "per_case.csv are damaged: " in loaded(study).arms[0].reason
    assert usable(study) == (set(), 1)


def test_a_file_that_was_cut_at_the_end_of_a_line_is_the_faulty_one_and_not_the_others(study, cases):
    for seed in range(2):
        study.finish(study.plan(seed=seed), cases([0.5, 0.6, 0.7]))
    path = study.tracker.folder / study.runs[0].fingerprint / "per_case.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    (arm,) = loaded(study).arms
    assert arm.seeds == (1,)
    assert arm.reason.endswith("per_case.csv hold 2 of 3 cases. Run it again.")
    assert usable(study) == ({study.runs[1].fingerprint}, 1)


def test_a_metric_that_came_later_says_nothing_of_earlier_runs_which_stay_finished(study, cases):
    study.finish(study.plan(seed=0), cases([0.5, 0.6, 0.7]))
    study.finish(study.plan(seed=1), cases([0.5, 0.6, 0.7]).drop(columns="hd95_mm"))
    results = loaded(study)
    (arm,) = results.arms
    assert arm.complete
    np.testing.assert_allclose(results.values(arm, "hd95_mm"), [[0.5, 0.6, 0.7], [np.nan] * 3])
    assert usable(study) == ({run.fingerprint for run in study.runs}, 0)
    study.finish(study.plan(seed=2), cases([0.5, 0.6, 0.7]).drop(columns="dice"))
    assert "damaged: there is no 'dice', the metric that arms are compared by" in loaded(study).arms[0].reason


def test_results_out_of_reach_are_no_reason_to_train_again(study, cases, monkeypatch):
    from pyarrow import csv

    def fails(*_, **__):
        raise OSError(116, "Stale file handle")

    study.finish(study.plan(), cases([0.5] * 3))
    monkeypatch.setattr(csv, "read_csv", fails)
    assert "cannot be read: [Errno 116] Stale file handle Try again." in loaded(study).arms[0].reason
    with pytest.raises(OutOfReach, match=r"per_case\.csv cannot be read: .*Stale file handle"):
        usable(study)


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
    assert "hold 1 infinite value(s). Run it again" in loaded(study).arms[0].reason
