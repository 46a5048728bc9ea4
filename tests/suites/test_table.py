"""The table from records made by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.suites.report.columns import cells, duration, headings, number
from lungzoo.suites.report.markdown import to_markdown
from lungzoo.suites.report.table import build_table, mean_over_seeds
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan

METRICS = ("dice", "iou", "precision", "recall", "false_positive_rate")
SPLIT = {"split_seed": 0, "scheme": "random", "grouping": "patient", "leakage": ""}
DATASET = {"name": "d", "title": "D", "licence": "CC0-1.0", "fingerprint": "d" * 64}


def config(transfer: str, seed: int = 0) -> dict:
    return ExperimentConfig(
        model={"name": "unet_mobilenetv2"}, transfer=transfer, train={"train_seed": seed}
    ).model_dump(mode="json")


def planned(name: str, transfer: str = "scratch", seed: int = 0) -> PlannedRun:
    return PlannedRun(name, f"unet_mobilenetv2 / {transfer}", seed, config(transfer, seed))


def record(run: PlannedRun, dice: float, val_dice: float) -> RunRecord:
    interval = {"mean": dice, "low": dice - 0.1, "high": dice + 0.1, "cases": 3, "patients": 3}
    return RunRecord(
        run.fingerprint, run.arm, run.seed, "finished", config=run.config, dataset=DATASET,
        split={**SPLIT, **{key: {"train": 9, "val": 3, "test": 4} for key in ("patients", "slices")}},
        metrics=dict.fromkeys(METRICS, interval), counts={"lesion": 3, "empty": 1, "small": 0},
        validation={"val_dice": val_dice},
        cost={"params": 2_500_000, "trainable_params": 1, "train_seconds": 125.0, "peak_memory_mb": 1500.0},
    )  # fmt: skip


def table(tracker, *runs: PlannedRun):
    return build_table(SuitePlan("s", "A suite", "", "dice", DATASET, runs), tracker)


def test_rows_are_ordered_by_validation_not_by_test(tracker):
    better_on_test, better_on_val = planned("a"), planned("b", "imagenet-frozen")
    tracker.records = {"a": record(better_on_test, 0.9, 0.5), "b": record(better_on_val, 0.6, 0.8)}
    result = table(tracker, better_on_test, better_on_val)
    assert [row.arm for row in result.rows] == ["unet_mobilenetv2 / imagenet-frozen", "unet_mobilenetv2 / scratch"]
    assert [row.selected for row in result.rows] == [True, False]
    assert any("Chosen on the validation split alone" in line for line in result.protocol)


def test_skipped_failed_and_pending_arms_are_rows(tracker):
    runs = [planned("a"), planned("b", "imagenet-frozen"), planned("c", "imagenet-finetune")]
    skipped = replace(record(runs[1], 0, 0), status="skipped", reason="no weights. Go online.")
    tracker.records = {"a": record(runs[0], 0.7, 0.7), "b": skipped}
    rows = {row.arm.split(" / ")[1]: row for row in table(tracker, *runs).rows}
    assert (rows["imagenet-frozen"].status, rows["imagenet-frozen"].reason) == ("skipped", "no weights. Go online.")
    assert rows["imagenet-finetune"].status == "pending"
    assert rows["scratch"].selected
    markdown = to_markdown(table(tracker, *runs))
    assert "skipped: no weights. Go online." in markdown
    assert "pending" in markdown


def test_a_suite_without_any_result_is_still_a_table(tracker):
    result = table(tracker, planned("a"))
    assert [row.status for row in result.rows] == ["pending"]
    assert math.isnan(result.rows[0].val_dice)


def scores(dice: list[float]) -> pd.DataFrame:
    values = dict.fromkeys(("dice", "iou", "precision", "recall"), dice)
    return pd.DataFrame(
        {"case": list("xyz"), "patient": list("pqr"), "label": "", "group": "lesion", "reference_px": 5,
         "predicted_px": 4, "marked": 1.0, **values}
    )  # fmt: skip


def test_seeds_are_averaged_per_case(tracker):
    runs = [planned("a", seed=0), planned("b", seed=1), planned("c", seed=2)]
    tracker.records = {run.fingerprint: record(run, 0.5, 0.4 + 0.1 * run.seed) for run in runs[:2]}
    tracker.scores = {"a": scores([0.2, 0.4, 0.6]), "b": scores([0.4, 0.6, 0.8])}
    (row,) = table(tracker, *runs).rows
    assert row.status == "2 of 3 seeds"
    assert row.seeds == (0, 1)
    assert row.val_dice == pytest.approx(0.45)
    assert row.metrics["dice"]["mean"] == pytest.approx(0.5)
    assert row.metrics["dice"]["cases"] == 3


def test_mean_over_seeds_matches_cases_by_name():
    one = scores([0.1, 0.2, 0.3])
    other = one.iloc[::-1].reset_index(drop=True)
    np.testing.assert_allclose(mean_over_seeds([one, other])["dice"], [0.1, 0.2, 0.3])


def test_cells(tracker):
    run = planned("a")
    tracker.records = {"a": record(run, 0.7, 0.65)}
    result = table(tracker, run)
    assert headings(result)[3] == "Test Dice [95% CI]"
    assert cells(result.rows[0], result) == [
        "unet_mobilenetv2 / scratch ★", "From scratch", "0.650", "0.700 [0.600, 0.800]", "0.700", "0.700", "0.700",
        "0.700", "2.50 M", "2 m 05 s", "1.5 GB",
    ]  # fmt: skip
    assert len(cells(result.rows[0], result)) == len(headings(result))


@pytest.mark.parametrize(("seconds", "text"), [(9.4, "9 s"), (60, "1 m 00 s"), (3725, "1 h 02 m")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_number_that_is_not_there_is_a_dash():
    assert number(float("nan")) == "–"


def test_false_positives_are_averaged_per_seed_not_over_their_union(tracker):
    runs = [planned("a", seed=0), planned("b", seed=1)]
    tracker.records = {run.fingerprint: record(run, 0.5, 0.5) for run in runs}
    tables = {}
    for name, marked in (("a", [1.0, 0.0, 0.0]), ("b", [0.0, 1.0, 0.0])):
        tables[name] = scores([np.nan] * 3).assign(group="empty", reference_px=0, marked=marked)
    tracker.scores = tables
    (row,) = table(tracker, *runs).rows
    rate = row.metrics["false_positive_rate"]
    assert rate["mean"] == pytest.approx(1 / 3)
    assert rate["low"] <= rate["mean"] <= rate["high"]


def test_json_has_no_nan(tracker):
    text = json.dumps(table(tracker, planned("a")).to_dict(), allow_nan=False)
    assert json.loads(text)["rows"][0]["val_dice"] is None


def test_an_arm_with_missing_seeds_is_not_selected(tracker):
    partial, whole = [planned("a", seed=0), planned("b", seed=1)], planned("c", "imagenet-frozen")
    tracker.records = {"a": record(partial[0], 0.9, 0.9), "c": record(whole, 0.5, 0.5)}
    rows = {row.status: row for row in table(tracker, *partial, whole).rows}
    assert rows["finished"].selected
    assert not rows["1 of 2 seeds"].selected


def test_the_protocol_says_how_patients_were_dealt_and_what_leaks(tracker):
    run = planned("a")
    plain = record(run, 0.5, 0.5)
    dealt = {"scheme": "fold 0 of 5", "grouping": "near", "leakage": "Leakage was allowed."}
    tracker.records = {"a": replace(plain, split=plain.split | dealt)}
    lines = table(tracker, run).protocol
    assert lines[1].startswith(
        "Split by groups of patients that near-duplicate slices link, fold 0 of 5, seed 0: train"
    )
    assert lines[-1] == "Leakage was allowed."


def test_folds_are_pooled_and_seeds_averaged(tracker):
    """Two folds of different cases; fold 0 has two seeds."""
    names = {"a": (0, 0), "b": (0, 1), "c": (1, 0)}
    runs = []
    for name, (fold, seed) in names.items():
        run = planned(name, seed=seed)
        runs.append(replace(run, config=run.config | {"data": run.config["data"] | {"folds": 2, "fold": fold}}))
    tracker.records = {run.fingerprint: record(run, 0.5, 0.5) for run in runs}
    others = scores([0.9, 0.9, 0.9]).assign(case=list("uvw"), patient=list("123"))
    tracker.scores = {"a": scores([0.2, 0.4, 0.6]), "b": scores([0.4, 0.6, 0.8]), "c": others}
    result = table(tracker, *runs)
    (row,) = result.rows
    assert row.status == "finished"
    assert row.seeds == (0, 1)
    assert row.metrics["dice"]["mean"] == pytest.approx((0.3 + 0.5 + 0.7 + 3 * 0.9) / 6)
    assert row.metrics["dice"]["patients"] == 6
    assert [line for line in result.protocol if line.startswith("Test:")] == [
        "Test: 6 slices with a lesion, 2 without."
    ]
