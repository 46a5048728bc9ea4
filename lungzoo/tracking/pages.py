"""What MLflow's pages say of a run and of a suite: descriptions in Markdown, and tables.

Links are relative to MLflow's own page (`#/experiments/…`), so they work under whatever address it is reached.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.shown import NO_CHART
from lungzoo.tracking.summary import ArmSummary, SuiteSummary
from lungzoo.tracking.views import runs_link, view_link

_LONGEST = 8000  # of a tag's value, which a description is
# Columns of the table of cases, where a run has them; metrics follow.
_CASE = ("case", "patient", "z", "label", "group", "reference_mm2")


def run_description(record: RunRecord, experiment_id: str, suite_id: str | None) -> str:
    """Return what a run's page says: how it went, where to go on, what is among its artifacts."""
    links = [
        runs_link("Runs of this arm", experiment_id, f"tags.arm = '{record.arm}'"),
        runs_link("runs with this seed", experiment_id, f"tags.seed = '{record.seed}'"),
    ]
    if record.trial:
        return trial_description(record, experiment_id, suite_id)
    if suite_id:
        links.append(f"[the suite](#/experiments/{experiment_id}/runs/{suite_id})")
    finished = record.status == "finished"
    lines = [_score(record) if finished else f"**{record.status}**: {record.reason}", " · ".join(links)]
    if finished:
        lines.append(
            "Artifacts: `metrics.json` (every figure), `per_case.json` (every case), `overlays.png`, `weights`"
        )
    return "\n\n".join(lines)


def trial_description(record: RunRecord, experiment_id: str, search_id: str | None) -> str:
    """Return what the page of a search's trial says: how it went, and where its search is."""
    trial, chosen = record.trial, record.validation
    links = [runs_link("Best trials", experiment_id, "tags.lungzoo.kind = 'trial'")]
    if search_id:
        links.append(f"[the search](#/experiments/{experiment_id}/runs/{search_id})")
    if record.status == "finished":
        text = (
            f"Best validation Dice **{chosen['val_dice']:.3f}**, epoch {chosen['epoch']:.0f} of {chosen['epochs']:.0f}."
        )
        if record.reason:
            text = f"**{trial['state']}**: {record.reason} {text}"
    else:
        text = f"**{trial.get('state', record.status)}**: {record.reason}"
    if "continues" in trial:
        text += f" It goes on from trial {trial['continues']}."
    return f"{text}\n\n{' · '.join(links)}\n\nThe test split was left shut."


def suite_description(summary: SuiteSummary, experiment_id: str, suite_id: str, note: str) -> str:
    """Return what a suite's page says: what came out, links to its runs, the short table.

    MLflow shows the first lines and hides the others until asked, and takes 8000 characters: arms without room are
    left out last first.
    """
    place = f"models:/{summary.plan.name}@champion"
    note = note.replace(place, f"[{place}](#/models/{summary.plan.name})")
    before = [summary.headline, "", _suite_links(summary, experiment_id, suite_id), "", *([note, ""] if note else [])]
    after = ["", *(f"- {remark}" for remark in summary.remarks), "- The whole table is the artifact `table.md`.", ""]
    rows = [_line(summary.headings), _line(("---",) * len(summary.headings))]
    rows += [_arm_line(arm, experiment_id) for arm in summary.arms]
    while len(rows) > 2 and len("\n".join([*before, *rows, *after])) > _LONGEST:
        rows.pop()
    return "\n".join([*before, *rows, *after])[:_LONGEST]


def _suite_links(summary: SuiteSummary, experiment_id: str, suite_id: str) -> str:
    recipes = sorted({str(run.config["transfer"]["recipe"]) for run in summary.plan.runs})
    kind = f"tags.mlflow.parentRunId = '{suite_id}' and tags.lungzoo.kind = "
    lists = {"Arms": f"{kind}'arm'", "as charts": f"{kind}'arm'", "Runs": f"{kind}'run'"}
    lists |= {recipe: f"{kind}'run' and tags.recipe = '{recipe}'" for recipe in recipes}
    lists["failed"] = f"{kind}'run' and attributes.status = 'FAILED'"
    links = [runs_link(words, experiment_id, asked, words == "as charts") for words, asked in lists.items()]
    return " · ".join([view_link("Arms with intervals", experiment_id, "arms"), *links])


def metric_table(record: RunRecord) -> str:
    """Return every figure of the test split as JSON that MLflow shows as a table."""
    columns = ("mean", "low", "high", "cases", "patients")
    metrics = sorted(record.metrics.items(), key=lambda found: (found[0] != "dice", found[0] in NO_CHART))
    rows = [[name, *(_known(found[column]) for column in columns)] for name, found in metrics]
    return json.dumps({"columns": ["metric", *columns], "data": rows})


def case_table(per_case: Path, metrics: list[str]) -> str:
    """Return per-case results as JSON that MLflow shows as a table.

    Args:
        per_case: the CSV file of them.
        metrics: columns of figures to take over; others stay in the CSV.
    """
    import pandas as pd

    table = pd.read_csv(per_case, dtype=dict.fromkeys(("case", "patient", "label"), str))
    kept = [name for name in (*_CASE, *metrics) if name in table and table[name].notna().any()]
    return str(table[kept].round(4).to_json(orient="split", index=False))


def _arm_line(arm: ArmSummary, experiment_id: str) -> str:
    link = runs_link(arm.arm, experiment_id, f"tags.arm = '{arm.arm}'")
    return _line((link + (" ★" if arm.chosen else ""), *arm.cells))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _score(record: RunRecord) -> str:
    dice, chosen = record.metrics["dice"], record.validation
    ends = (dice["low"], dice["high"])
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if all(map(math.isfinite, ends)) else ""
    text = (
        f"Test Dice **{dice['mean']:.3f}**{interval}: {dice['cases']:.0f} slices with a lesion of "
        f"{dice['patients']:.0f} patient(s)."
    )
    if chosen:
        text += f" Best validation Dice {chosen['val_dice']:.3f}"
        text += f", epoch {chosen['epoch']:.0f} of {chosen['epochs']:.0f}." if "epochs" in chosen else "."
    return text


def _known(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
