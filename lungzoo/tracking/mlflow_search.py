"""Searches in MLflow: the parent run's page, and files of searches by name."""

from __future__ import annotations

from lungzoo.errors import UnknownNameError
from lungzoo.tracking.mlflow_connection import open_store, talking
from lungzoo.tracking.mlflow_entities import metrics_at, params_of, tags_of
from lungzoo.tracking.search import SearchPage
from lungzoo.tracking.shown import KIND
from lungzoo.tracking.views import search_views
from mlflow import MlflowClient

PREFIX = "tune-"
_LONGEST = 8000  # of a tag's value, which a description is


def known_searches(uri: str) -> list[str]:
    """Return the names of the searches in a store."""
    with talking(uri):
        experiments = open_store(uri).search_experiments()
    return [each.name.removeprefix(PREFIX) for each in experiments if each.name.startswith(PREFIX)]


def check_search(uri: str, name: str) -> None:
    """Raise UnknownNameError unless a store has a search of that name."""
    known = known_searches(uri)
    if name not in known:
        none = f"lungzoo tune run --help; the store {uri} has no search"
        raise UnknownNameError("search", name, known, "" if known else none)


def describe_search(client: MlflowClient, experiment_id: str, search_id: str, page: SearchPage) -> None:
    """Put into the parent run of a search what its page has."""
    offered = client.get_experiment(experiment_id).tags
    for key, value in search_views(page.varied).items():
        if key not in offered:
            client.set_experiment_tag(experiment_id, key, value)
    run = client.get_run(search_id)
    new = [param for param in params_of(page.params) if param.key not in run.data.params]
    changed = {name: value for name, value in page.metrics.items() if run.data.metrics.get(name) != value}
    client.log_batch(search_id, params=new, metrics=metrics_at(changed, 0))
    if page.folder is not None:
        client.log_artifacts(search_id, str(page.folder))
    if page.describe is None:
        return
    links = {
        number: f"[{number}{' ★' if number == page.best else ''}](#/experiments/{experiment_id}/runs/{run_id})"
        for number, run_id in page.runs.items()
    }
    client.set_tag(search_id, "mlflow.note.content", page.describe(links)[:_LONGEST])
    if best := page.runs.get(page.best):
        client.log_batch(search_id, tags=tags_of({"best_run": best}))
        for each in client.search_runs([experiment_id], f"tags.`{KIND}` = 'trial' and tags.best = 'yes'"):
            client.delete_tag(each.info.run_id, "best")
        client.set_tag(best, "best", "yes")
