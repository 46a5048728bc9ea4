"""Links into MLflow's list of runs, and the views that its menu "Views" offers on a suite."""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any
from urllib.parse import quote_plus

# Sorted by anything but the time, runs are listed beside each other; by time, those of a suite hide under its parent.
_BEST = "metrics.`val/best_dice`"
_RUN = "tags.lungzoo.kind = 'run'"
_TAG = "mlflow.sharedViewState.lungzoo-"
_NAME = "attributes.`Run Name`"
_FIGURES = ("val/best_dice", "test/dice", "test/dice_ci_low", "test/dice_ci_high", "test/hd95_mm")


def runs_link(words: str, experiment_id: str, condition: str, charts: bool = False) -> str:
    """Return a Markdown link to the runs that a filter lets through, best validation Dice first."""
    query = {"searchFilter": condition, "orderByKey": _BEST} | ({"compareRunsMode": "CHART"} if charts else {})
    asked = "&".join(f"{key}={quote_plus(value, safe='/=')}" for key, value in query.items())
    return f"[{words}](#/experiments/{experiment_id}/runs?{asked})"


def view_link(words: str, experiment_id: str, key: str) -> str:
    """Return a Markdown link to a saved view."""
    return f"[{words}](#/experiments/{experiment_id}/runs?viewStateShareKey={_TAG.rpartition('.')[2]}{key})"


def saved_views() -> dict[str, str]:
    """Return the views of a suite as tags of its experiment: filter, order and columns under a name.

    This is how MLflow's page saves them itself (3.17); a version that does not know them shows none.
    """
    figures = tuple(f"metrics.`{name}`" for name in _FIGURES)
    usage = ("metrics.`usage/params`", "metrics.`usage/inference_ms`", "metrics.`usage/train_seconds`")
    arm = ("tags.`group`", "tags.`encoder`", "tags.`decoder`", "tags.`recipe`", "tags.`weights`")
    run = ("tags.`arm`", "tags.`seed`", "tags.`fold`")
    return dict(
        [
            _view("arms", "Arms, with intervals", "tags.lungzoo.kind = 'arm'", (*figures, *arm[:1], *usage, *arm[1:])),
            _view("runs", "Runs, best first", _RUN, (*figures, *run, *usage)),
            _view("transfer", "Runs with pretrained weights", f"{_RUN} and tags.phase = 'transfer'", (*figures, *run)),
            _view("baseline", "Runs from scratch", f"{_RUN} and tags.phase = 'baseline'", (*figures, *run)),
            _view("failed", "Failed runs", "attributes.status = 'FAILED'", run),
        ]
    )


def search_views(varied: tuple[str, ...]) -> dict[str, str]:
    """Return the views of a hyperparameter search as tags of its experiment; `varied` are its settings' config keys."""
    keys = [
        part for key in varied for part in (("transfer.recipe", "transfer.weights") if key == "transfer" else (key,))
    ]
    params = tuple(f"params.`{key}`" for key in keys)
    shown = ("metrics.`val/best_dice`", *params, "tags.`state`", "tags.`reason`", "metrics.`val/best_epoch`")
    hyperband = ("tags.`bracket`", "tags.`round`", "tags.`until`", "metrics.`usage/train_seconds`")
    trial = "tags.lungzoo.kind = 'trial'"
    return dict(
        [
            _view("trials", "Trials, best first", trial, (*shown, *hyperband)),
            _view("pruned", "Trials that gave up", f"{trial} and tags.state = 'pruned'", (*shown, *hyperband)),
            _view("broken", "Trials that broke", f"{trial} and attributes.status = 'FAILED'", shown),
        ]
    )


def _view(key: str, name: str, condition: str, columns: tuple[str, ...]) -> tuple[str, str]:
    state: dict[str, Any] = {
        "searchFilter": condition,
        "orderByKey": _BEST,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": [_NAME, *columns],
        "columnWidths": {_NAME: 320, **dict.fromkeys(columns, 110)},
        "runsHiddenMode": "FIRST_20_RUNS",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = int(time.time() * 1000)
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return _TAG + key, json.dumps(view)
