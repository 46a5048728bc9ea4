"""What is said of the differences between two sides, from results made by hand."""

import json
from dataclasses import replace

import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.metrics.contract import METRICS
from lungzoo.suites.compare.differences import _differences
from lungzoo.suites.compare.pairs import pair_up
from lungzoo.suites.compare.sides import Side
from lungzoo.suites.compare.words import cells, remarks, to_dict, verdict
from lungzoo.suites.report.report import build_report

from .conftest import DICE, FROZEN, SCRATCH, two_runs


def test_metrics_by_name(large_study, ask):
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'dise'\. Did you mean 'dice'"):
        ask("quick", f"quick:{SCRATCH}", "dise")
    with pytest.raises(
        UsageError, match="'absolute_volume_error_mm3' is a metric of volumes, and arms are compared by"
    ):
        ask("quick", f"quick:{SCRATCH}", "absolute_volume_error_mm3")
    (found, _) = ask("quick", f"quick:{SCRATCH}", "hd95_mm").differences
    assert "HD95 of the first is 0.2 mm higher, which is worse" in verdict(found, 1)


def test_words_of_a_difference(large_study, ask):
    found = ask(f"quick:{FROZEN}", f"quick:{SCRATCH}")
    text = verdict(found.differences[0], 1)
    assert text.startswith("The difference holds up: Dice of the first is 0.")
    assert "higher, which is better (p = " in text
    assert text.endswith("120 cases of 40 patients, 3 and 3 seeds). This speaks of other patients and other seeds.")
    assert remarks(found)[0].startswith("Two arms whose Dice differs by")
    metric, first, second, difference = cells(found.differences[0])
    assert metric == "Dice"
    assert first.startswith("0.")
    assert " [0." in second
    assert difference.startswith("+0.")
    assert " [+0." in difference


def test_words_of_no_difference(large_study, ask):
    found = ask(f"quick:{FROZEN}", "quick:unet_mobilenetv2 / imagenet-finetune")
    text = verdict(found.differences[0], 1)
    assert text.startswith("No difference in Dice is shown (p = ")
    assert "That does not make the two alike." in text


def test_what_holds_up_alone_may_not_among_many(large_study, ask):
    found = replace(ask("quick", f"quick:{SCRATCH}").differences[0], p=0.03, p_holm=0.06)
    assert "(p = 0.03, corrected over 2 pairs 0.06; " in verdict(found, 2)
    assert "It would hold up as the only pair." in verdict(found, 2)


def test_one_seed_against_three(large_study, ask):
    (found,) = ask(f"quick:{FROZEN}", "run:scratch-2").differences
    assert (found.first.over_seeds, found.second.over_seeds, found.over_seeds) == (True, False, False)
    assert "conditional on the one seed of the second:" in verdict(found, 1)


def test_five_cases_cannot_show_a_difference(study, other, cases, ask):
    study.finish(study.plan(), cases([0.9] * 5))
    other.finish(other.plan(), cases([0.1, 0.2, 0.3, 0.15, 0.25]))
    found = ask("quick", "lidc-transfer-v1")
    assert found.differences[0].p == 2 / 2**5
    assert verdict(found.differences[0], 1).startswith("No difference in Dice is shown (p = 0.062;")
    assert remarks(found)[0].startswith("This test set can show no difference in Dice: with 5 patients")
    assert "Only 5 patients: intervals of so few cover less often than they say." in remarks(found)


def test_equal_results_are_no_difference(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases(DICE))
    found = ask("quick", "lidc-transfer-v1")
    assert (found.differences[0].difference, found.differences[0].p) == (0.0, 1.0)
    assert remarks(found)[0].startswith("Nothing can be said about the smallest difference in Dice: no patient")


def test_leakage_is_said(study, other, cases, ask):
    two_runs(study, other, cases, split={"fingerprint": "s" * 64, "leakage": "Leakage was allowed."})
    found = ask("quick", "lidc-transfer-v1")
    assert "Leakage was allowed." in remarks(found)
    later = replace(found.second.results, plan=replace(found.second.plan, warnings=("Found later.",)))
    assert "Found later." in remarks(replace(found, second=replace(found.second, results=later)))


def test_patients_without_names_are_said(study, other, cases, ask):
    two_runs(study, other, cases, split={"fingerprint": "s" * 64, "leakage": "", "grouping": "case"})
    assert any(line.startswith("The set names no patients: what") for line in remarks(ask("quick", "lidc-transfer-v1")))


def test_a_record_with_nan_is_valid_json(study, other, cases, ask):
    dice = {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "cases": 0, "patients": 0}
    two_runs(study, other, lambda each: cases(each[:5]), metrics={"dice": dice})
    values = json.loads(json.dumps(to_dict(ask("quick", "lidc-transfer-v1")), allow_nan=False))
    (pair,) = values["pairs"]
    assert (pair["metric"], pair["holds_up"], pair["over_seeds"]) == ("dice", False, False)
    assert pair["difference"] == pytest.approx(0.1, abs=1e-6)
    assert values["resolution"]["difference"] is None
    assert {other["metric"] for other in pair["others"]} >= {"iou", "hd95_mm"}


def test_what_is_printed(large_study, ask, capsys):
    from lungzoo.cli.bench_compare import _print

    _print(ask(f"quick:{FROZEN}", f"quick:{SCRATCH}"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [f"First: quick:{FROZEN}", f"Second: quick:{SCRATCH}", "", f"{FROZEN}  –  {SCRATCH}"]
    (dice,) = [line for line in lines if line.startswith("Dice")]
    assert dice.split()[1].startswith("0.")
    assert any(line.startswith("HD95 (mm)") for line in lines)
    assert any(line.startswith("The difference holds up: Dice of the first is") for line in lines)
    assert any(line.startswith("Two arms whose Dice differs by") for line in lines)
    assert lines[-1] == "Each interval covers 95% by itself; only p is corrected, over the pairs of this one metric."


def test_two_arms_of_a_suite_are_judged_as_in_its_report(large_study):
    report = build_report(large_study.suite, large_study.tracker, 500)
    found, (best, _, worst) = report.analysis.comparison, report.results.arms
    side = [Side(arm.arm, report.results, (arm,)) for arm in (best, worst)]
    comparison = _differences(pair_up(*side), METRICS.get("dice"), 500)[1]
    row = next(row for row in range(3) if {found.first[row], found.second[row]} == {0, 2})
    for key in ("difference", "low", "high", "p"):
        assert getattr(comparison, key)[0] == pytest.approx(getattr(found, key)[row])
