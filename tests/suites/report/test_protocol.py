"""The sentences under a table: what was kept together, and what leaks."""

from dataclasses import replace

import pytest

from lungzoo.data.splits.split import UNNAMED
from lungzoo.suites.report.columns import columns
from lungzoo.suites.report.report import build_report


@pytest.mark.parametrize(
    ("grouping", "sentence"),
    [
        ("patient", "Split by patient, seed 0: train/val/test 9/3/4 patients, 9/3/4 slices."),
        (
            UNNAMED,
            "Split by groups of near-duplicate slices (the set names no patients: each slice counts as one), seed 0: "
            "train/val/test 9/3/4 counted as patients, 9/3/4 slices.",
        ),
        (
            "case",
            "Split by slice (the set names no patients, and slices of one may be in two parts), seed 0: "
            "train/val/test 9/3/4 counted as patients, 9/3/4 slices.",
        ),
    ],
)
def test_what_was_kept_together(study, cases, grouping, sentence):
    run = study.plan()
    record = study.finish(run, cases([0.5, 0.7]))
    study.finish(run, cases([0.5, 0.7]), split={**record.split, "grouping": grouping})
    assert sentence in build_report(study.suite, study.tracker, 200).table.protocol


@pytest.mark.parametrize("grouping", [UNNAMED, "case"])
def test_images_without_patients_are_not_called_patients(study, cases, grouping):
    record = study.finish(study.plan(), cases([0.5, 0.7]))
    named = build_report(study.suite, study.tracker, 200).table
    study.tracker.records[record.fingerprint] = replace(record, split={**record.split, "grouping": grouping})
    unnamed = build_report(study.suite, study.tracker, 200).table
    once = "Test split predicted once per run, seed 0. [ ]: 95% interval over "
    assert f"{once}patients." in named.protocol
    assert f"{once}images, whose patients are unknown: too narrow." in unnamed.protocol
    assert [line for line in unnamed.remarks if line not in named.remarks] == [
        "The set names no patients: what is called a patient here is an image, and images of one person count as "
        "several. Intervals are too narrow, and arms are told apart too easily."
    ]
    study.finish(study.plan(seed=1), cases([0.5, 0.7]), split={**record.split, "grouping": grouping})
    protocol = build_report(study.suite, study.tracker, 200).table.protocol
    assert protocol[4].endswith("95% interval over seeds and images, whose patients are unknown: too narrow.")


def test_leaks_that_were_found_later_are_said_once(study, cases):
    run = study.plan()
    warned = replace(study.suite, warnings=("It leaks.",))
    assert build_report(warned, study.tracker, 200).table.protocol[1:] == ("It leaks.",)  # no run is finished
    record = study.finish(run, cases([0.5, 0.7]))
    plain = build_report(study.suite, study.tracker, 200).table.protocol
    assert build_report(warned, study.tracker, 200).table.protocol == (*plain, "It leaks.")
    study.finish(run, cases([0.5, 0.7]), split={**record.split, "leakage": "It leaks."})
    assert build_report(warned, study.tracker, 200).table.protocol == (*plain, "It leaks.")


@pytest.mark.parametrize(("empty", "explained"), [(4, False), (5, True)])
def test_a_column_that_is_left_out_is_not_explained(study, cases, empty, explained):
    table = cases([0.5, 0.7] + [0.0] * empty).assign(group=["lesion"] * 2 + ["empty"] * empty)
    study.finish(study.plan(), table)
    shown = build_report(study.suite, study.tracker, 200).table
    assert any("FP: share of lesion-free slices" in line for line in shown.protocol) is explained
    assert ("FP" in [column.heading for column in columns(shown)]) is explained


def test_a_licence_that_is_not_known_is_named_as_one(study):
    unknown = replace(study.suite, dataset={**study.suite.dataset, "licence": "not stated"})
    assert build_report(unknown, study.tracker, 200).table.protocol[0].startswith("Dataset d: D, licence not stated; ")
