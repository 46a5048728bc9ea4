"""Which sides are compared, and which are refused, from results made by hand."""

import numpy as np
import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.statistics.cases import TooFew
from lungzoo.suites.compare.comparable import Incomparable
from lungzoo.suites.compare.words import remarks, title, verdict

from .conftest import DICE, FROZEN, SCRATCH, two_runs


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
    assert "version of the metrics (1 and 0). Run what is older again: it is then scored" in message


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
    assert "' of lidc-transfer-v1 cannot be compared (failed): The per-case results of" in message
    assert "Only arms whose runs are all finished are compared." in message


def test_an_arm_that_is_not_whole_is_left_out_of_a_suite_and_refused_by_name(study, other, cases, ask):
    for each in (study, other):
        each.finish(each.plan("scratch"), cases(DICE))
        each.finish(each.plan("imagenet-frozen", 0), cases(DICE))
    study.plan("imagenet-frozen", 1)
    found = ask("quick", "lidc-transfer-v1")
    assert [title(pair) for pair in found.pairs] == [SCRATCH]
    assert f"Not compared: '{FROZEN}' of quick (1 of 2 seeds): Run the suite to its end." in found.notes
    assert "(1 of 2 seeds): Run the suite to its end." in refusal(ask, f"quick:{FROZEN}", f"lidc-transfer-v1:{FROZEN}")


def test_a_failed_run_says_why(study, other, cases, ask):
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), None, status="failed", reason="out of memory.", counts={}, metrics_version=0)
    assert "cannot be compared (failed): out of memory." in refusal(ask, "run:scratch", "lidc-transfer-v1")


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
