"""What a suite hands to the tracker when it closes: its table, the figures of each arm, the weights it recommends."""

from __future__ import annotations

import dataclasses
import re

from lungzoo.config import ExperimentConfig
from lungzoo.models.served import LOADER, shapes_of
from lungzoo.models.starts import effective_model
from lungzoo.suites.report.columns import verdict
from lungzoo.suites.report.formats.markdown import to_markdown
from lungzoo.suites.report.numbers import number, with_interval
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import Row
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.summary import ArmSummary, Champion, SuiteSummary

_ENDS = {"": "mean", "_ci_low": "low", "_ci_high": "high"}


def summarise_suite(report: Report) -> SuiteSummary:
    """Return the results of a suite as its tracker keeps them."""
    best = champion_run(report)
    table = report.table
    return SuiteSummary(
        plan=report.plan,
        headline=_headline(report),
        table=to_markdown(table),
        headings=("Arm", "Val Dice", f"Test {report.analysis.primary.title} [95% CI]", "Group"),
        arms=tuple(_arm(report, row) for row in table.rows),
        remarks=(*table.remarks, *table.protocol),
        metrics=suite_metrics(report),
        champion=_champion(report, best) if best else None,
    )


def suite_metrics(report: Report) -> dict[str, float]:
    """Return how many runs ended how, and each arm's mean of the primary metric; intervals are with the arms."""
    primary = report.analysis.primary.name
    ended = [record.status for arm in report.results.arms for record in arm.records]
    metrics = {f"runs/{status}": float(ended.count(status)) for status in ("finished", "failed", "skipped")}
    for arm, figures in report.analysis.figures.items():
        metrics[f"test_{primary}/{metric_name(arm)}"] = figures[primary]["mean"]
    return metrics


def metric_name(arm: str) -> str:
    """Return an arm's name in the letters that MLflow allows in the name of a metric."""
    return re.sub(r"[^\w.\-]+", "_", arm)


def champion_run(report: Report) -> RunRecord | None:
    """Return the run of the chosen arm with the best validation Dice; the test split decides nothing."""
    selected = next((row.arm for row in report.table.rows if row.selected), None)
    arm = next((arm for arm in report.results.arms if arm.arm == selected), None)
    return max(arm.finished, key=lambda record: record.validation["val_dice"]) if arm else None


def _headline(report: Report) -> str:
    runs = f"{sum(len(arm.finished) for arm in report.results.arms)} of {len(report.plan.runs)} runs are finished."
    row = next((row for row in report.table.rows if row.selected), None)
    if row is None:
        return f"No arm is finished. {runs}"
    primary = report.analysis.primary
    score = with_interval(row.metrics[primary.name], primary.digits)
    return f"Chosen by validation Dice: **{row.arm}**, test {primary.title} **{score}**. {runs}"


def _arm(report: Report, row: Row) -> ArmSummary:
    """Return an arm with its figures over all seeds and folds in the place of one run's."""
    primary = report.analysis.primary
    finished = next(arm.finished for arm in report.results.arms if arm.arm == row.arm)
    if not finished:
        return ArmSummary(row.arm, (verdict(row), "", ""))
    mean = dataclasses.replace(
        finished[0], metrics=row.metrics, counts={}, cost=row.cost, validation={"val_dice": row.val_dice}
    )
    cells = (number(row.val_dice), with_interval(row.metrics[primary.name], primary.digits), row.letters)
    tags = {"group": row.letters, "state": row.status, "seeds": ", ".join(map(str, row.seeds))}
    return ArmSummary(row.arm, cells, mean, {key: text for key, text in tags.items() if text}, row.selected)


def _champion(report: Report, record: RunRecord) -> Champion:
    config = ExperimentConfig.model_validate(record.config)
    input_shape, outputs = shapes_of(effective_model(config.model, config.transfer))
    dice = record.metrics.get("dice", {})
    tags = {
        "arm": record.arm,
        "seed": str(record.seed),
        **({} if record.fold is None else {"fold": str(record.fold)}),
        "dataset": record.dataset["name"],
        "val_dice": f"{record.validation['val_dice']:.4f}",
        **{f"test_dice{suffix}": f"{dice[key]:.4f}" for suffix, key in _ENDS.items() if key in dice},
    }
    return Champion(record.fingerprint, LOADER, input_shape, outputs, tags, _description(report, record))


def _description(report: Report, record: RunRecord) -> str:
    name, primary = report.plan.name, report.analysis.primary
    figure = report.analysis.figures[record.arm][primary.name]
    own = record.metrics.get("dice")
    lines = [
        f"{record.title}, seed {record.seed}: of the arms of '{report.plan.title}' the one with the best "
        "validation Dice, and of its runs likewise; the test split decided nothing.",
        f"Test {primary.title} of the arm: {with_interval(figure, primary.digits)}."
        + (f" Test Dice of this run: {with_interval(own)}." if own else ""),
        "It takes slices in [0, 1], prepared as `protocol` in `data/weights/manifest.json` says, and answers with "
        "logits; lungzoo must be installed.",
        f'`mlflow.pyfunc.load_model("models:/{name}@champion").predict(batch)`',
    ]
    return "\n\n".join(lines)
