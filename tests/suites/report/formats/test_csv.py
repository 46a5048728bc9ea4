"""The CSV: a row per run and group of cases, from which the table's means can be worked out again."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from lungzoo.suites.report.formats.csv_file import means_of, to_csv
from lungzoo.suites.report.report import build_report
from lungzoo.suites.report.strata import strata

AWKWARD = 'a_b 100% & "c" | d, e\nf / scratch'


def rows_of(study):
    return list(csv.DictReader(io.StringIO(to_csv(report_of(study)))))


def report_of(study):
    return build_report(study.suite, study.tracker, draws=200)


def check_means(study):
    """The figures of the table and those from the CSV are the same, every one of them."""
    report = report_of(study)
    found = means_of(csv.DictReader(io.StringIO(to_csv(report))))
    assert list(found) == [row.arm for row in report.table.rows]
    for row in report.table.rows:
        expected = {name: figure["mean"] for name, figure in row.metrics.items()} | row.cost
        expected |= {"val_dice": row.val_dice} if row.seeds else {}
        assert found[row.arm] == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert found[row.arm].keys() == expected.keys()


def test_a_row_per_seed_and_group_with_means_of_its_cases(study, cases):
    found = cases([0.5, 0.7, np.nan, 0.1], group=["lesion", "lesion", "empty", "small"], patient=list("aabc"))
    for seed in range(2):
        study.finish(study.plan("imagenet-frozen", seed), found.assign(false_positive_rate=[np.nan, np.nan, 1, np.nan]))
    rows = rows_of(study)
    assert [(row["seed"], row["group"], row["cases"], row["patients"]) for row in rows] == [
        (str(seed), *of) for seed in range(2) for of in (("lesion", "2", "1"), ("empty", "1", "1"), ("small", "1", "1"))
    ]
    first, empty, small = rows[:3]
    assert (first["model"], first["recipe"], first["weights"]) == ("unet_mobilenetv2", "frozen", "imagenet")
    assert (first["status"], first["fold"], first["reason"]) == ("finished", "", "")
    assert (first["dice"], first["dice_cases"]) == ("0.6", "2")
    assert (empty["dice"], empty["dice_cases"], empty["false_positive_rate"]) == ("", "0", "1")
    assert small["dice"] == "0.1"
    assert (first["val_dice"], first["params"], first["train_seconds"]) == ("0.5", "2500000", "125")
    check_means(study)


def test_runs_without_results_are_rows_with_their_reason(study, cases):
    study.finish(study.plan("scratch", 0), cases([0.5] * 3))
    study.finish(study.plan("scratch", 1), None, status="failed", reason="out of memory")
    study.finish(study.plan("imagenet-frozen"), None, status="skipped", reason="no weights. Go online.")
    study.finish(study.plan("imagenet-finetune"), None)  # finished, and its per-case results are gone
    study.plan("imagenet-gradual")
    rows = {(row["recipe"], row["seed"]): row for row in rows_of(study)}
    assert (rows["scratch", "1"]["status"], rows["scratch", "1"]["reason"]) == ("failed", "out of memory")
    assert rows["frozen", "0"]["reason"] == "no weights. Go online."
    assert "are gone. Run it again" in rows["finetune", "0"]["reason"]
    assert rows["gradual", "0"]["status"] == "pending"
    for key in (("scratch", "1"), ("frozen", "0"), ("finetune", "0"), ("gradual", "0")):
        assert (rows[key]["group"], rows[key]["cases"], rows[key]["dice"], rows[key]["val_dice"]) == ("", "", "", "")
    check_means(study)


def test_a_suite_without_any_result(study):
    study.plan()
    assert [row["status"] for row in rows_of(study)] == ["pending"]
    check_means(study)


def test_means_are_the_tables_with_folds_seeds_and_values_that_are_not_there(study, cases):
    rng = np.random.default_rng(0)
    for fold in range(2):
        names = [f"{fold}-{number}" for number in range(7)]
        for transfer, seed in (("scratch", 0), ("scratch", 1), ("imagenet-frozen", 0)):
            dice = rng.random(7)
            found = cases(dice.tolist(), names, case=names, group=["lesion"] * 4 + ["empty"] * 2 + ["small"])
            found = found.assign(hd95_mm=np.where(dice > 0.6, np.nan, dice), specificity=rng.random(7))
            study.finish(study.plan(transfer, seed, fold), found, rng.random())
    rows = rows_of(study)
    assert {row["fold"] for row in rows} == {"0", "1"}
    assert sum(int(row["cases"]) for row in rows if row["recipe"] == "frozen") == 14
    check_means(study)


def test_a_metric_and_a_cost_that_are_never_there(study, cases):
    run = study.plan()
    record = study.finish(run, cases([0.5] * 3, hd95_mm=np.nan))
    study.tracker.records[run.fingerprint] = replace(record, cost={**record.cost, "peak_memory_mb": math.nan})
    (row,) = rows_of(study)
    assert (row["hd95_mm"], row["hd95_mm_cases"], row["peak_memory_mb"]) == ("", "0", "")
    check_means(study)


def test_labels_and_sizes_are_parts_of_the_lesion_cases(study, cases):
    areas = [np.pi * radius**2 for radius in (2, 2, 2, 2, 2, 5, 5, 5, 5, 5)]  # discs 4 and 10 mm wide
    found = cases([0.1] * 5 + [0.3] * 5, label=["solid", "part"] * 5, reference_mm2=areas)
    study.finish(study.plan(), found)
    rows = {row["group"]: row for row in rows_of(study)}
    small, large = (f"size: {stratum.title}" for stratum in strata(report_of(study).results)[:2])
    assert list(rows) == ["lesion", small, large, "label: part", "label: solid"]
    assert (rows[small]["cases"], rows[small]["dice"]) == ("5", "0.1")
    assert (rows[large]["cases"], rows[large]["dice"]) == ("5", "0.3")
    assert rows["label: solid"]["dice"] == "0.18"
    check_means(study)


def test_any_name_comes_back_as_it_was(study, cases):
    run = replace(study.plan(), arm=AWKWARD)
    study.runs[:] = [run]
    study.finish(run, cases([0.5] * 3))
    assert rows_of(study)[0]["arm"] == AWKWARD
    check_means(study)


def test_a_column_that_is_no_number_is_refused(large_study):
    text = to_csv(report_of(large_study))
    with pytest.raises(ValueError, match="x"):
        means_of(csv.DictReader(io.StringIO(text.replace("0.7271376", "x", 1))))
