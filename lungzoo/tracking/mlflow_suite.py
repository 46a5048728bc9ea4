"""A suite's results in MLflow: the description of its parent run, a run for the means of each arm, saved views."""

from __future__ import annotations

from mlflow.entities import Run

from lungzoo.tracking.mlflow_connection import end_run
from lungzoo.tracking.mlflow_entities import metrics_at, params_of, tags_of
from lungzoo.tracking.pages import suite_description
from lungzoo.tracking.process import user_name
from lungzoo.tracking.shown import KIND, arm_tags, final_metrics
from lungzoo.tracking.summary import SuiteSummary
from lungzoo.tracking.views import saved_views
from mlflow import MlflowClient


def write_summary(client: MlflowClient, experiment_id: str, suite_id: str, summary: SuiteSummary, note: str) -> None:
    """Put the results of a suite into its parent run; `note` says what became of the chosen weights."""
    _log_arms(client, experiment_id, suite_id, summary)
    text = suite_description(summary, experiment_id, suite_id, note)
    client.set_tag(suite_id, "mlflow.note.content", text)
    client.log_text(suite_id, summary.table, "table.md")
    _log_changed(client, client.get_run(suite_id), summary.metrics)


def offer_views(client: MlflowClient, experiment_id: str) -> None:
    """Save the views that an experiment does not have; those that somebody changed stay."""
    there = client.get_experiment(experiment_id).tags
    for key, value in saved_views().items():
        if key not in there:
            client.set_experiment_tag(experiment_id, key, value)


def _log_arms(client: MlflowClient, experiment_id: str, suite_id: str, summary: SuiteSummary) -> None:
    """Keep one run for each arm: MLflow averages the runs of a group, but it gives no intervals."""
    condition = f"tags.`{KIND}` = 'arm' and tags.mlflow.parentRunId = '{suite_id}'"
    there = {run.data.tags["arm"]: run for run in client.search_runs([experiment_id], condition, max_results=1000)}
    for arm in summary.arms:
        if arm.mean is None:
            continue
        about = arm_tags(arm.mean)
        run = there.get(arm.arm) or _new_arm(client, experiment_id, suite_id, arm.arm, about)
        name = arm.arm + (" ★" if arm.chosen else "")
        if run.info.run_name != name:
            client.update_run(run.info.run_id, name=name)
        client.log_batch(run.info.run_id, tags=tags_of({**about, **arm.tags}))
        _log_changed(client, run, final_metrics(arm.mean, ("dice", summary.plan.primary_metric)))
        end_run(client, run.info.run_id, "FINISHED")


def _new_arm(client: MlflowClient, experiment_id: str, suite_id: str, arm: str, about: dict[str, str]) -> Run:
    tags = {KIND: "arm", "arm": arm, "mlflow.parentRunId": suite_id}
    tags |= {"mlflow.source.name": "lungzoo", "mlflow.user": user_name()}
    run = client.create_run(experiment_id, run_name=arm, tags=tags)
    client.log_batch(run.info.run_id, params=params_of(about))  # to compare arms by
    return run


def _log_changed(client: MlflowClient, run: Run, values: dict[str, float]) -> None:
    """Log the figures that are new; one that was logged twice would be drawn as a line."""
    new = {name: value for name, value in values.items() if run.data.metrics.get(name) != value}
    client.log_batch(run.info.run_id, metrics=metrics_at(new, 0))
