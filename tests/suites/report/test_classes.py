"""Predicted classes in the table: figures worked out by hand, differences, and what is said where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lungzoo.evaluation.labels import label_figures
from lungzoo.suites.report.class_table import HEADINGS, class_grid
from lungzoo.suites.report.figures.class_curves import mean_roc
from lungzoo.suites.report.formats.csv_file import to_csv
from lungzoo.suites.report.formats.html.page import to_html
from lungzoo.suites.report.formats.markdown import to_markdown
from lungzoo.suites.report.report import build_report

LABELS = ["benign", "malignant"]


def finish(study, cases, arm, seed, second, true, **validation):
    """A finished run with these probabilities of the second class; two slices per volume and patient."""
    run = study.plan(arm, seed)
    run.config["model"]["labels"] = LABELS
    patients = [f"patient-{number // 2}" for number in range(len(true))]
    table = cases(
        [0.5] * len(true), patients, label_true=true, label_predicted=[int(chance > 0.5) for chance in second],
        label_probability_0=[1 - chance for chance in second], label_probability_1=second,
    )  # fmt: skip
    figures = {"val_dice": 0.5, "epoch": 1, "epochs": 1, **validation}
    return study.finish(run, table, validation=figures, curves=label_figures(table))


TRUE = [0, 0, 0, 0, 1, 1, 1, 1, -1, -1]
GOOD = [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9, 0.5, 0.5]
BAD = [0.4, 0.5, 0.6, 0.7, 0.3, 0.4, 0.5, 0.6, 0.5, 0.5]


@pytest.fixture
def report(study, cases):
    for seed in (0, 1):
        finish(study, cases, "scratch", seed, GOOD, TRUE, val_label_auc=0.9)
        finish(study, cases, "imagenet-finetune", seed, BAD, TRUE, val_label_auc=0.6)
    return build_report(study.suite, study.tracker, 200)


def test_figures_by_hand(report):
    rows = {row.arm: row.classes for row in report.table.rows}
    good, bad = rows["unet_mobilenetv2 / scratch"], rows["unet_mobilenetv2 / imagenet-finetune"]
    assert good["label_auc"]["mean"] == pytest.approx(15 / 16)  # 0.4 loses to 0.6
    assert bad["label_auc"]["mean"] == pytest.approx(4.5 / 16)
    assert good["label_balanced_accuracy"]["mean"] == pytest.approx(3 / 4)
    # Volumes are pairs of slices: 0.15 and 0.45 against 0.55 and 0.85.
    assert good["label_volume_auc"]["mean"] == 1
    assert good["val_label_auc"]["mean"] == pytest.approx(0.9)
    area = good["label_auc"]
    assert area["delong_low"] < area["mean"] < area["delong_high"]
    assert area["low"] <= area["mean"] <= area["high"]


def test_the_remarks_say_how_many_and_who_differs(report):
    remarks = report.table.remarks
    assert (
        "Classes: 8 labelled test slices (benign 4, malignant 4) of 4 volumes of 4 patients; a volume's probabilities "
        "are the means of its slices'. [ ] of AUC and balanced accuracy: 95%, patients and runs resampled."
    ) in remarks
    assert any("By validation AUC the best is: scratch, 0.900." in line for line in remarks)
    (difference,) = (line for line in remarks if line.startswith("AUC of slices, "))
    assert "scratch minus imagenet-finetune: +0.656 [" in difference
    # All resamples say so, and yet four patients cannot show a difference: no p below 2/2⁴.
    assert difference.endswith("; not told apart, p = 0.125, Holm-corrected over 1 pair(s) p = 0.125.")


def test_arms_that_are_both_always_right_do_not_differ(study, cases):
    for arm in ("scratch", "imagenet-finetune"):
        finish(study, cases, arm, 0, [*TRUE[:8], 0, 1], TRUE)
    remarks = build_report(study.suite, study.tracker, 200).table.remarks
    (difference,) = (line for line in remarks if line.startswith("AUC of slices, "))
    assert difference.endswith(": +0.000; not told apart, p = 1.000, Holm-corrected over 1 pair(s) p = 1.000.")
    assert not any("+nan" in line for line in remarks)


def test_twenty_patients_tell_right_from_wrong(study, cases):
    true = [0, 1] * 20  # two slices of each of twenty patients
    for arm in ("scratch", "imagenet-finetune", "imagenet-frozen"):
        right = arm != "imagenet-finetune"
        finish(study, cases, arm, 0, [0.9 if (label == 1) == right else 0.1 for label in true], true)
    remarks = build_report(study.suite, study.tracker, 2000).table.remarks
    found = sorted(line.partition(": ")[2] for line in remarks if line.startswith("AUC of slices, "))
    # 2/2001 for each pair that differs, in either order, times three pairs, of which the second is not above the first.
    assert [line.lstrip("+-") for line in found[1:]] == [
        "1.000; told apart, p < 0.001, Holm-corrected over 3 pair(s) p = 0.003."
    ] * 2
    assert found[0] == "+0.000; not told apart, p = 1.000, Holm-corrected over 3 pair(s) p = 1.000."


def test_every_rendering_has_them(report):
    markdown, html = to_markdown(report.table), to_html(report)
    assert "| AUC [95% CI] | Bal. acc. |" in markdown
    assert '<section id="classes">' in html
    grid = class_grid(report.table)
    assert [row[:2] for row in grid[:2]] == [["scratch", "slice"], ["scratch", "volume"]]
    assert {len(row) for row in grid} == {len(HEADINGS)}
    heading, first = (line.split(",") for line in to_csv(report).splitlines()[:2])
    assert float(first[heading.index("label_auc")]) == pytest.approx(report.table.rows[0].classes["label_auc"]["mean"])


def test_one_class_has_no_area_and_the_reason_is_told(study, cases):
    for arm in ("scratch", "imagenet-finetune"):
        finish(study, cases, arm, 0, GOOD, [1] * 8 + [-1, -1])
    table = build_report(study.suite, study.tracker, 200).table
    assert math.isnan(table.rows[0].classes["label_auc"]["mean"])
    assert "AUC is undefined: the labelled test cases are all 'malignant'." in table.remarks
    assert class_grid(table)[0][2] == "–"


def test_a_suite_without_classes_is_as_it_was(study, cases):
    study.finish(study.plan(), cases([0.5] * 6))
    table = build_report(study.suite, study.tracker, 200).table
    assert class_grid(table) == []
    assert "AUC" not in to_markdown(table)
    assert "classes" not in table.to_dict()["rows"][0]


def test_unmarked_cases_are_counted(study, cases):
    run = study.plan()
    run.config["classify"] = {"name": "boosted_features", "labels": LABELS}
    chances = {"label_probability_0": [1 - chance for chance in GOOD], "label_probability_1": GOOD}
    table = cases([0.5] * 10, label_true=TRUE, label_predicted=0, predicted_px=[0] * 3 + [9] * 7, **chances)
    study.finish(run, table, curves=label_figures(table))
    remarks = build_report(study.suite, study.tracker, 200).table.remarks
    assert any("marked nothing in 3.0 of the labelled test slices" in line for line in remarks)


def test_folds_are_runs_of_their_own(study, cases):
    for fold in (0, 1):
        run = study.plan("scratch", 0, fold)
        run.config["model"]["labels"] = LABELS
        second = GOOD if fold == 0 else BAD
        table = cases(
            [0.5] * 10, [f"{fold}-{number}" for number in range(10)], label_true=TRUE,
            label_predicted=[int(chance > 0.5) for chance in second],
            label_probability_0=[1 - chance for chance in second], label_probability_1=second,
        )  # fmt: skip
        table = table.assign(case=[f"{fold}-{name}" for name in table["case"]])
        study.finish(run, table, curves=label_figures(table))
    area = build_report(study.suite, study.tracker, 200).table.rows[0].classes["label_auc"]
    assert area["mean"] == pytest.approx((15 / 16 + 4.5 / 16) / 2)
    assert math.isnan(area["delong_low"])


def test_a_fold_of_one_class_has_no_area_and_says_so(study, cases):
    for fold, true in enumerate(([0, 1] * 5, [1] * 10)):
        run = study.plan("scratch", 0, fold)
        run.config["model"]["labels"] = LABELS
        chances = {"label_probability_0": [1 - chance for chance in GOOD], "label_probability_1": GOOD}
        table = cases([0.5] * 10, [f"{fold}-{n}" for n in range(10)], label_true=true, label_predicted=1, **chances)
        study.finish(run, table.assign(case=[f"{fold}-{n}" for n in range(10)]), curves=label_figures(table))
    table = build_report(study.suite, study.tracker, 200).table
    assert math.isnan(table.rows[0].classes["label_auc"]["mean"])
    assert "AUC is undefined: the labelled test cases of a fold are all 'malignant'." in table.remarks


def test_mean_roc():
    grid, rate = mean_roc(np.array([0, 1, 0, 1]), np.array([[0.1, 0.9, 0.2, 0.8], [0.5, 0.5, 0.5, 0.5]]))
    # One run parts the classes, the other ties them all: a straight line from corner to corner.
    assert rate[0] == pytest.approx(0.5)
    assert rate == pytest.approx((1 + grid) / 2)
