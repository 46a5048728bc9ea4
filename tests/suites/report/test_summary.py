"""What a suite hands to its tracker."""

import numpy as np
import pytest

from lungzoo.models.served import LOADER
from lungzoo.suites.report.report import build_report
from lungzoo.suites.report.summary import champion_run, metric_name, summarise_suite

DRAWS = 200


def test_figures_of_the_arms_and_counts_of_the_runs(large_study, cases):
    large_study.finish(large_study.plan("imagenet-gradual"), None, status="failed", reason="out of memory.")
    report = build_report(large_study.suite, large_study.tracker, DRAWS)
    summary = summarise_suite(report)
    counts = {name: value for name, value in summary.metrics.items() if name.startswith("runs/")}
    assert counts == {"runs/finished": 9.0, "runs/failed": 1.0, "runs/skipped": 0.0}
    arm = report.analysis.figures["unet_mobilenetv2 / scratch"]["dice"]
    assert summary.metrics["test_dice/unet_mobilenetv2_scratch"] == arm["mean"]
    by_name = {found.arm: found for found in summary.arms}
    mean = by_name["unet_mobilenetv2 / scratch"].mean
    assert mean.metrics["dice"] == arm
    assert mean.validation == {"val_dice": pytest.approx(0.61)}
    assert by_name["unet_mobilenetv2 / scratch"].tags["seeds"] == "0, 1, 2"
    failed = by_name["unet_mobilenetv2 / imagenet-gradual"]
    assert (failed.mean, failed.cells) == (None, ("failed: out of memory.", "", ""))
    assert summary.headline.startswith("Chosen by validation Dice: **unet_mobilenetv2 / imagenet-f")
    assert summary.headline.endswith("9 of 10 runs are finished.")


def test_the_champion_is_the_best_seed_on_the_validation_split(large_study):
    report = build_report(large_study.suite, large_study.tracker, DRAWS)
    record = champion_run(report)
    assert record.seed == 2  # validation Dice grows with the seed, the test Dice does not
    champion = summarise_suite(report).champion
    assert (champion.fingerprint, champion.loader) == (record.fingerprint, LOADER)
    assert champion.input_shape == (-1, -1, -1, 1)
    assert champion.tags["arm"] == record.arm
    assert champion.tags["val_dice"] == f"{record.validation['val_dice']:.4f}"
    assert "the test split decided nothing" in champion.description


def test_a_suite_without_a_finished_arm_recommends_nothing(study):
    study.plan("scratch")
    summary = summarise_suite(build_report(study.suite, study.tracker, DRAWS))
    assert summary.champion is None
    assert summary.headline == "No arm is finished. 0 of 1 runs are finished."


def test_names_that_mlflow_allows():
    from mlflow.utils.validation import _validate_metric_name

    name = metric_name("sm/unet_resnet34 alpha=0.35 / lungzoo:x-finetune / wide (β)")
    _validate_metric_name(f"test_dice/{name}")
    assert metric_name("unet_resnet50 / imagenet-frozen") == "unet_resnet50_imagenet-frozen"


def test_means_over_seeds_are_finite(large_study):
    summary = summarise_suite(build_report(large_study.suite, large_study.tracker, DRAWS))
    assert np.isfinite(list(summary.metrics.values())).all()
