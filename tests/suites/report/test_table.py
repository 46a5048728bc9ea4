"""The table from results made by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lungzoo.suites.report.columns import columns
from lungzoo.suites.report.formats.markdown import to_markdown
from lungzoo.suites.report.numbers import duration, number, p_value
from lungzoo.suites.report.report import build_report
from lungzoo.suites.report.table import means_over_runs


def table(study):
    return build_report(study.suite, study.tracker).table


def test_rows_are_ordered_by_validation_not_by_test(study, cases):
    study.finish(study.plan("scratch"), cases([0.9] * 4), val_dice=0.5)
    study.finish(study.plan("imagenet-frozen"), cases([0.6] * 4), val_dice=0.8)
    result = table(study)
    assert [row.arm for row in result.rows] == ["unet_mobilenetv2 / imagenet-frozen", "unet_mobilenetv2 / scratch"]
    assert [row.selected for row in result.rows] == [True, False]
    assert any("Chosen on the validation split alone" in line for line in result.protocol)


def test_arms_that_learned_nothing_are_not_chosen(study, cases):
    study.finish(study.plan("scratch"), cases([0.0] * 4), val_dice=0.0)
    study.finish(study.plan("imagenet-frozen"), cases([0.0] * 4), val_dice=0.0)
    result = table(study)
    assert not any(row.selected for row in result.rows)
    assert result.remarks[0].startswith("No arm found any lesion of the validation split (Dice 0), so none is chosen")


def test_distances_end_at_nothing_and_shares_at_one(study, cases):
    study.finish(study.plan("scratch"), cases([0.9, 1.0, 1.0, 1.0, 0.2, 1.0], hd95_mm=[30.0, 0, 0, 0.1, 0, 0]))
    figures = build_report(study.suite, study.tracker).analysis.figures["unet_mobilenetv2 / scratch"]
    assert figures["hd95_mm"]["low"] == 0.0
    assert figures["hd95_mm"]["high"] > 5.0
    assert figures["dice"]["high"] == 1.0


def test_small_costs_show_a_digit_and_zero_has_no_sign(study, cases):
    study.finish(study.plan("scratch"), cases([0.5] * 4), cost={"params": 2_100.0, "weights_mb": 0.0123, "gmacs": 0.0})
    result = table(study)
    (row,) = result.rows
    shown = {column.heading: column.cell(row) for column in columns(result)}
    assert (shown["Params"], shown["Weights"], shown["GMACs"]) == ("0.002 M", "0.01 MB", "0.00 ")
    assert number(-0.0004) == "0.000"


def test_skipped_failed_and_pending_arms_are_rows(study, cases):
    study.finish(study.plan("scratch"), cases([0.7] * 4))
    study.finish(study.plan("imagenet-frozen"), None, status="skipped", reason="no weights. Go online.")
    study.plan("imagenet-finetune")
    rows = {row.arm.split(" / ")[1]: row for row in table(study).rows}
    assert (rows["imagenet-frozen"].status, rows["imagenet-frozen"].reason) == ("skipped", "no weights. Go online.")
    assert rows["imagenet-finetune"].status == "pending"
    assert rows["scratch"].selected
    markdown = to_markdown(table(study))
    assert "skipped: no weights. Go online." in markdown
    assert "pending" in markdown


def test_a_suite_without_any_result_is_still_a_table(study):
    study.plan()
    result = table(study)
    assert [row.status for row in result.rows] == ["pending"]
    assert math.isnan(result.rows[0].val_dice)
    assert to_markdown(result)


def test_seeds_are_averaged_per_case(study, cases):
    study.finish(study.plan(seed=0), cases([0.2, 0.4, 0.6]), 0.4)
    study.finish(study.plan(seed=1), cases([0.4, 0.6, 0.8]), 0.5)
    study.plan(seed=2)
    (row,) = table(study).rows
    assert row.status == "2 of 3 seeds"
    assert row.seeds == (0, 1)
    assert row.val_dice == pytest.approx(0.45)
    assert row.metrics["dice"]["mean"] == pytest.approx(0.5)
    assert row.metrics["dice"]["cases"] == 3
    assert row.metrics["dice"]["over_seeds"] is True


def test_seeds_are_matched_by_case_not_by_place(study, cases):
    one = cases([0.1, 0.2, 0.9])
    study.finish(study.plan(seed=0), one)
    study.finish(study.plan(seed=1), one.iloc[::-1])
    (row,) = table(study).rows
    apart = row.metrics["dice"]["high"] - row.metrics["dice"]["low"]
    study.finish(study.plan(seed=1), one)
    (row,) = table(study).rows
    assert row.metrics["dice"]["high"] - row.metrics["dice"]["low"] == pytest.approx(apart)


def test_cells(study, cases):
    study.finish(study.plan(), cases([0.7] * 4), 0.65)
    result = table(study)
    found = {column.heading: column.cell(result.rows[0]) for column in columns(result)}
    assert found == {
        "Arm": "unet_mobilenetv2 / scratch ★", "Transfer": "From scratch", "Val Dice": "0.650",
        "Test Dice [95% CI]": "0.700 [0.700, 0.700]", "IoU": "0.700", "Precision": "0.700",
        "Recall": "0.700", "HD95 (mm)": "0.7", "NSD": "0.700", "Lesions found": "0.700", "FP lesions": "0.70",
        "Params": "2.50 M", "GMACs": "0.42 ", "Predict": "7.2 ms", "Weights": "9.9 MB", "Train": "2 m 05 s",
        "Memory": "1.5 GB",
    }  # fmt: skip


def test_a_column_that_says_nothing_of_any_arm_is_left_out(study, cases):
    study.finish(study.plan(), cases([0.7] * 4, hd95_mm=np.nan, nsd=np.nan))
    headings = [column.heading for column in columns(table(study))]
    assert "HD95 (mm)" not in headings
    assert "FP" not in headings  # there is no case without a lesion
    assert "IoU" in headings


@pytest.mark.parametrize(("seconds", "text"), [(9.4, "9 s"), (60, "1 m 00 s"), (3725, "1 h 02 m"), (math.nan, "–")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_number_that_is_not_there_is_a_dash():
    assert number(float("nan")) == "–"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0127, "= 0.013"), (0.001, "= 0.001"), (0.00099, "< 0.001"), (0.0, "< 0.001"), (1.0, "= 1.000")]
)
def test_a_p_value_is_never_zero(p, text):
    assert p_value(p) == text


def test_false_positives_are_averaged_per_seed_not_over_their_union(study, cases):
    for seed, rates in enumerate(([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])):
        found = cases([np.nan] * 3, group="empty", reference_px=0, false_positive_rate=rates)
        study.finish(study.plan(seed=seed), found)
    (row,) = table(study).rows
    rate = row.metrics["false_positive_rate"]
    assert rate["mean"] == pytest.approx(1 / 3)
    assert rate["low"] <= rate["mean"] <= rate["high"]
    assert math.isnan(row.metrics["dice"]["mean"])


def test_json_has_no_nan(study, cases):
    study.plan("imagenet-frozen")
    study.finish(study.plan(), cases([0.5, np.nan, 0.7]))
    text = json.dumps(table(study).to_dict(), allow_nan=False)
    assert json.loads(text)["rows"][1]["val_dice"] is None


def test_an_arm_with_missing_seeds_is_not_selected(study, cases):
    study.finish(study.plan(seed=0), cases([0.9] * 4), 0.9)
    study.plan(seed=1)
    study.finish(study.plan("imagenet-frozen"), cases([0.5] * 4), 0.5)
    rows = {row.status: row for row in table(study).rows}
    assert rows["finished"].selected
    assert not rows["1 of 2 seeds"].selected


def test_arms_alike_share_a_letter_and_the_worse_one_has_its_own(large_study):
    result = table(large_study)
    letters = {row.arm.split(" / ")[1]: row.letters for row in result.rows}
    assert letters == {"imagenet-frozen": "a", "imagenet-finetune": "a", "scratch": "b"}
    assert result.remarks[0].startswith("Arms that share a letter are not told apart: paired test over")
    assert "are told apart with 80% power" in result.remarks[1]


def test_the_protocol_says_how_patients_were_dealt_and_what_leaks(study, cases):
    run = study.plan()
    record = study.finish(run, cases([0.5] * 4))
    dealt = {"scheme": "fold 0 of 5", "grouping": "near", "leakage": "Leakage was allowed."}
    study.tracker.records[run.fingerprint] = replace(record, split=record.split | dealt)
    lines = table(study).protocol
    assert lines[1].startswith(
        "Split by groups of patients that near-duplicate slices link, fold 0 of 5, seed 0: train"
    )
    assert lines[-1] == "Leakage was allowed."


def test_folds_are_pooled_and_seeds_averaged(study, cases):
    """Two folds of different cases, two seeds; the second seed of the second fold is still to come."""
    other = cases([0.9, 0.9, 0.9], ["1", "2", "3"], case=list("uvw"))
    study.finish(study.plan(seed=0, fold=0), cases([0.2, 0.4, 0.6]))
    study.finish(study.plan(seed=1, fold=0), cases([0.4, 0.6, 0.8]))
    study.finish(study.plan(seed=0, fold=1), other)
    study.finish(study.plan(seed=1, fold=1), other.assign(dice=0.7))
    result = table(study)
    (row,) = result.rows
    assert row.status == "finished"
    assert row.seeds == (0, 1)
    assert row.metrics["dice"]["mean"] == pytest.approx((0.3 + 0.5 + 0.7 + 3 * 0.8) / 6)
    assert row.metrics["dice"]["patients"] == 6
    assert [line for line in result.protocol if line.startswith("Test:")] == [
        "Test: 6 slices with a lesion, 0 without."
    ]


def test_a_figure_that_some_run_lacks_is_a_mean_of_the_others():
    means = means_over_runs([{"a": 1.0, "b": math.nan}, {"a": 2.0, "b": 4.0, "c": 5.0}, {"b": math.inf, "d": math.nan}])
    assert means == {"a": 1.5, "b": 4.0, "c": 5.0, "d": pytest.approx(math.nan, nan_ok=True)}
    assert means_over_runs([]) == {}
