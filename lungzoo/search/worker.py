"""The process behind trials: alone with the algorithm, its chief, or one of the chief's workers."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from lungzoo.events import Observer
from lungzoo.executors.process import serve

CHIEF = "chief"


def work(order: dict[str, Any], observe: Observer) -> None:
    """Search until there is nothing more to try, or the time is up.

    Args:
        order: {"folder", "dataset", "uri", "experiment", "search_id"}.
        observe: receives events.
    """
    from lungzoo.data.store import PreparedDataset
    from lungzoo.search.plan import find_plan
    from lungzoo.search.stopping import TimeIsUp
    from lungzoo.search.trial import Trials
    from lungzoo.search.tune import search
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    folder, worker = Path(order["folder"]), os.environ.get("KERASTUNER_TUNER_ID", "")
    plan = find_plan(folder)
    assert plan is not None
    if worker == CHIEF:
        search(plan, folder, None)
        return
    dataset = PreparedDataset(order["dataset"], verify=False)
    tracker = MlflowTracker(order["experiment"], order["uri"])
    with suppress(TimeIsUp):
        search(plan, folder, Trials(plan, dataset, tracker, folder, order["search_id"], observe, worker))


if __name__ == "__main__":
    sys.exit(serve(work))
