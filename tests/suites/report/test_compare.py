"""Two sides against each other, from results made by hand."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.metrics.contract import METRICS
from lungzoo.statistics.cases import TooFew
from lungzoo.suites.compare.comparable import Incomparable
from lungzoo.suites.compare.differences import _differences, compare_names
from lungzoo.suites.compare.pairs import pair_up
from lungzoo.suites.compare.sides import Side
from lungzoo.suites.compare.words import cells, remarks, title, to_dict, verdict
from lungzoo.suites.report.report import build_report

SCRATCH, FROZEN = "unet_mobilenetv2 / scratch", "unet_mobilenetv2 / imagenet-frozen"
DICE = [0.2, 0.4, 0.6, 0.5, 0.3, 0.7, 0.45, 0.55]


@pytest.fixture
def other(study, tmp_path):
    """A second suite, with a store of its own, whose runs started later."""

    class Later(type(study)):
        def finish(self, *arguments, **changes):
            return super().finish(*arguments, **{"started": "later", **changes})

    return Later(type(study.tracker)(tmp_path))


@pytest.fixture
def ask(study, other):
    """`quick` is the first suite, `lidc-transfer-v1` the second, and the runs of both are found by fingerprint."""
    records = study.tracker.records, other.tracker.records

    def find_run(run):
        found = [name for each in records for name in each if name.startswith(run)]
        if not found:
            raise UsageError(f"No run '{run}'.")
        return found[0]

    def owner(run):
        return next(each for each in (study, other) if run in each.tracker.records)

    def opened(name):
        of = other if name == "lidc-transfer-v1" else study
        return SimpleNamespace(
            uri="sqlite:///mlflow.db",
            last_plan=lambda: of.suite if of.runs else None,
            find=of.tracker.find,
            artifacts=of.tracker.artifacts,
            find_run=find_run,
            run_record=lambda run: owner(run).tracker.records[run],
            of_run=lambda run: owner(run).tracker,
        )

    return lambda first, second, metric=None: compare_names(first, second, opened, metric, draws=200)


def two_runs(study, other, cases, **changes):
    """One run in each suite; the second is worse by 0.1 in every case, and has the changes."""
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases([value - 0.1 for value in DICE]), **changes)


def refusal(ask, first="quick", second="lidc-transfer-v1", metric=None):
    with pytest.raises(Incomparable) as caught:
        ask(first, second, metric)
    assert caught.value.exit_code == 2
    return str(caught.value)


# What is named


def test_arms_of_one_suite(large_study, ask):
    (found,) = ask(f"quick:{FROZEN}", f"quick:{SCRATCH}").differences
    assert found.difference == pytest.approx(0.2, abs=0.02)
    assert found.low < found.difference < found.high
    assert (found.first.seeds, found.second.seeds, found.cases, found.patients) == (3, 3, 120, 40)
    assert found.over_seeds
    assert found.holds_up
    assert found.difference == pytest.approx(found.first.mean - found.second.mean)


def test_runs_by_the_beginning_of_their_id(large_study, ask):
    found = ask("run:imagenet-frozen-0", "run:scratch-1")
    (difference,) = found.differences
    assert (difference.first.seeds, difference.second.seeds) == (1, 1)
    assert not difference.over_seeds
    assert "This is conditional on the one seed of each: another may give another difference." in verdict(difference, 1)
    assert "Seed noise is not in this figure" in remarks(found)[0]


def test_a_bare_id_is_a_run_and_a_bare_word_is_a_suite(ask):
    with pytest.raises(UsageError, match="No run 'deadbeef'"):
        ask("deadbeef", "quick")
    with pytest.raises(UnknownNameError, match=r"Unknown suite 'quik'\. Did you mean 'quick'"):
        ask("quik", "quick")


def test_a_path_may_have_an_arm(large_study, ask, tmp_path):
    from lungzoo.content import find_content

    path = tmp_path / "mine.toml"
    path.write_text(find_content("suites", "quick").read_text())
    assert ask(f"{path}:{FROZEN}", f"quick:{SCRATCH}").differences[0].holds_up


def test_an_arm_that_is_not_there(large_study, ask):
    with pytest.raises(UnknownNameError) as caught:
        ask("quick:unet_mobilenetv2 / imagenet-frosen", "quick")
    assert str(caught.value) == (
        f"Unknown arm 'unet_mobilenetv2 / imagenet-frosen'. Did you mean '{FROZEN}'? See: lungzoo bench report quick"
    )


def test_a_suite_that_never_ran(large_study, ask):
    with pytest.raises(UsageError, match=r"No run of suite 'lidc-transfer-v1' in .*\. Start one with: l"):
        ask("quick", "lidc-transfer-v1")


def test_two_suites_meet_in_the_arms_that_both_have(study, other, cases, ask):
    study.finish(study.plan("imagenet-frozen"), cases(DICE))
    study.finish(study.plan("imagenet-finetune"), cases(DICE))
    other.finish(other.plan("imagenet-frozen"), cases(DICE[::-1]))
    other.finish(other.plan("scratch"), cases(DICE))
    found = ask("quick", "lidc-transfer-v1")
    assert [title(pair) for pair in found.pairs] == [FROZEN]
    assert f"Only in lidc-transfer-v1: {SCRATCH}." in found.notes
    assert "Only in quick: unet_mobilenetv2 / imagenet-finetune." in found.notes


def test_two_suites_without_a_common_arm(study, other, cases, ask):
    study.finish(study.plan("scratch"), cases(DICE))
    other.finish(other.plan("imagenet-frozen"), cases(DICE))
    assert "quick and lidc-transfer-v1 have no arm in common. Only in quick: " in refusal(ask)


def test_a_suite_against_one_arm_is_corrected_over_its_pairs(large_study, ask):
    found = ask("quick", f"quick:{SCRATCH}")
    assert len(found.pairs) == 2  # the arm itself is left out
    assert f"Not compared: '{SCRATCH}', which both sides hold." in found.notes
    assert all(each.p_holm > each.p for each in found.differences[:1])
    assert max(each.p_holm for each in found.differences) <= 2 * max(each.p for each in found.differences)
    assert "corrected over 2 pairs" in verdict(found.differences[0], 2)


@pytest.mark.parametrize(("first", "second"), [("quick", "quick"), (f"quick:{SCRATCH}", "run:scratch-1")])
def test_a_side_is_not_compared_with_itself(large_study, ask, first, second):
    assert refusal(ask, first, second).startswith(f"{first} and {second} are the same run(s), or one holds the other")


def test_two_trainings_of_one_fingerprint_are_two_runs(study, other, cases, ask):
    two_runs(study, other, cases, started="2026-01-01T00:00:00+00:00")
    assert ask("quick", "lidc-transfer-v1").differences[0].difference == pytest.approx(0.1, abs=1e-6)


# What is refused


def test_another_version_of_the_dataset(study, other, cases, ask):
    dataset = {"name": "d", "fingerprint": "e" * 64}
    split = {"fingerprint": "t" * 64, "leakage": ""}
    two_runs(study, other, cases, dataset=dataset, split=split)
    assert refusal(ask) == (
        f"'{SCRATCH}' of quick and '{SCRATCH}' of lidc-transfer-v1 cannot be compared, because these differ: dataset "
        "fingerprint (dddddddddddd and eeeeeeeeeeee); split fingerprint (ssssssssssss and tttttttttttt). Run one of "
        "them again on the dataset of the other: --data DIR."
    )


def test_another_split(study, other, cases, ask):
    two_runs(study, other, cases, split={"fingerprint": "t" * 64, "leakage": ""})
    assert "these differ: split fingerprint (ssssssssssss and tttttttttttt). Run" in refusal(ask)


def test_another_split_of_one_fold(study, other, cases, ask):
    for each, fingerprint in ((study, "a"), (other, "b")):
        each.finish(each.plan(fold=0), cases(DICE))
        split = {"fingerprint": fingerprint * 64, "leakage": ""}
        each.finish(each.plan(fold=1), cases(DICE, list("stuvwxyz"), case=list("stuvwxyz")), split=split)
    assert "these differ: split fingerprint of fold 1 (aaaaaaaaaaaa and bbbbbbbbbbbb)." in refusal(ask)


def test_another_version_of_the_metrics(study, other, cases, ask):
    two_runs(study, other, cases, metrics_version=0)
    message = refusal(ask)
    assert "version of the metrics (1 and 0). Run what is older again with --fresh" in message


@pytest.mark.parametrize(("key", "value", "shown"), [("shift_px", 24, "0 and 24"), ("min_lesion_px", 10, "1 and 10")])
def test_other_ways_to_score(study, other, cases, ask, key, value, shown):
    study.finish(study.plan(), cases(DICE))
    run = other.plan()
    run.config["score"][key] = value
    other.finish(run, cases(DICE))
    assert f"score.{key} ({shown}). Run one of them again with the [score] settings of the other." in refusal(ask)


def test_another_threshold_belongs_to_the_arm(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    run = other.plan()
    run.config["score"]["threshold"] = 0.3
    other.finish(run, cases(DICE[::-1]))
    assert "Thresholds differ, 0.5 and 0.3: each belongs to its arm." in remarks(ask("quick", "lidc-transfer-v1"))


def test_other_test_cases(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    run = other.plan()
    run.config["data"]["disputed"] = "keep"
    other.finish(run, cases([*DICE, 0.5]))
    assert (
        "test cases: 1 are in one alone, such as case-8; data.disputed is drop and keep (8 cases and 9). Run one of "
        "them again with the [data] settings of the other."
    ) in refusal(ask)


def test_other_references(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    run = other.plan()
    run.config["data"]["consensus_readers"] = 3
    other.finish(run, cases(DICE, reference_px=[50] * 7 + [60]))
    assert (
        "lesion's area in 1 test cases, such as case-7; data.consensus_readers is 2 and 3 (50 px and 60 px)."
    ) in refusal(ask)


def test_the_order_of_the_cases_does_not_matter(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases([value - 0.1 for value in DICE]).iloc[::-1])
    (found,) = ask("quick", "lidc-transfer-v1").differences
    assert (found.low, found.high) == pytest.approx((0.1, 0.1), abs=1e-6)


def test_results_that_are_gone(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), None)
    message = refusal(ask)
    assert "' of lidc-transfer-v1 cannot be compared: failed: The per-case results of" in message
    assert "Only arms whose runs are all finished are compared." in message


def test_an_arm_that_is_not_whole_is_left_out_of_a_suite_and_refused_by_name(study, other, cases, ask):
    for each in (study, other):
        each.finish(each.plan("scratch"), cases(DICE))
        each.finish(each.plan("imagenet-frozen", 0), cases(DICE))
    study.plan("imagenet-frozen", 1)
    found = ask("quick", "lidc-transfer-v1")
    assert [title(pair) for pair in found.pairs] == [SCRATCH]
    assert f"Not compared: '{FROZEN}' of quick, 1 of 2 seeds: Run the suite to its end." in found.notes
    assert "1 of 2 seeds: Run the suite to its end." in refusal(ask, f"quick:{FROZEN}", f"lidc-transfer-v1:{FROZEN}")


def test_a_failed_run_says_why(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), None, status="failed", reason="out of memory.", counts={}, metrics_version=0)
    assert "cannot be compared: failed: out of memory." in refusal(ask, "run:scratch", "lidc-transfer-v1")


def test_a_value_that_only_one_has(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases([np.nan, *DICE[1:]]))
    assert refusal(ask) == (
        f"1 of 8 test cases have a Dice in one run and none in another, such as case-0 in '{SCRATCH}': its per-case "
        "results are damaged. Run it again with --fresh."
    )


def test_another_metric_that_only_one_has_is_left_out(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases(DICE[::-1], nsd=[np.nan, *DICE[1:]]))
    found = ask("quick", "lidc-transfer-v1")
    assert any(note.startswith("NSD at 2 mm is not compared: 1 of 8 test cases") for note in found.notes)
    assert "nsd" not in [each.metric.name for each in found.others[0]]
    assert "iou" in [each.metric.name for each in found.others[0]]


def test_a_test_set_without_lesions(study, other, cases, ask):
    rates = {"group": "empty", "reference_px": 0, "hd95_mm": np.nan}
    study.finish(study.plan(), cases(DICE, **rates))
    other.finish(other.plan(), cases(DICE[::-1], **rates))
    message = refusal(ask)
    assert message.startswith("No test case has a Dice, whose mean is over lesion cases. Received: 8 empty.")
    assert "with --metric: false_positive_lesions, false_positive_rate, specificity." in message
    (found,) = ask("quick", "lidc-transfer-v1", "false_positive_rate").differences
    assert found.difference == pytest.approx(0, abs=1e-6)


def test_a_single_patient(study, other, cases, ask):
    two_runs(study, other, lambda dice: cases(dice, ["one"] * len(dice)))
    with pytest.raises(TooFew, match=r"patient by patient, so there must be several. Received: 1 patient\(s\)"):
        ask("quick", "lidc-transfer-v1")


# Metrics and words


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
    assert remarks(found)[0].startswith("Nothing can be said about the smallest difference in Dice: patients do not")


def test_leakage_is_said(study, other, cases, ask):
    two_runs(study, other, cases, split={"fingerprint": "s" * 64, "leakage": "Leakage was allowed."})
    assert "Leakage was allowed." in remarks(ask("quick", "lidc-transfer-v1"))


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
