"""The process behind trials: alone with the algorithm, its chief, or one of the chief's workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from lungzoo.events import Note, Observer
from lungzoo.executors.process import serve

CHIEF = "chief"


def work(order: dict[str, Any], observe: Observer) -> int:
    """Search; returns the exit code: 0 when there is nothing more to try, 1 when the reason is in the log.

    Args:
        order: {"folder", "dataset", "uri", "experiment", "search_id"}.
        observe: receives events.
    """
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import LungzooError
    from lungzoo.search.plan import find_plan
    from lungzoo.search.stopping import TimeIsUp
    from lungzoo.search.trial import Trials
    from lungzoo.search.tune import search
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    folder, worker = Path(order["folder"]), os.environ.get("KERASTUNER_TUNER_ID", "")
    try:
        plan = find_plan(folder)
        assert plan is not None
        if worker == CHIEF:
            search(plan, folder, None)
            return 0
        dataset = PreparedDataset(order["dataset"], verify=False)
        tracker = MlflowTracker(order["experiment"], order["uri"])
        search(plan, folder, Trials(plan, dataset, tracker, folder, order["search_id"], observe, worker))
    except TimeIsUp:
        return 0
    except LungzooError as error:
        observe(Note(str(error)))
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(serve(work))
