"""The process behind one run: a job comes in on stdin, events go out on stdout, everything else to the log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lungzoo.events import Observer
from lungzoo.executors import Job
from lungzoo.executors.process import serve


def carry_out(order: dict[str, Any], observe: Observer) -> None:
    """Carry out the job; raises LungzooError where the run could not be recorded."""
    from lungzoo.config import ExperimentConfig
    from lungzoo.data.store import PreparedDataset
    from lungzoo.experiment import run_experiment
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    job = Job(**order)
    run_experiment(
        ExperimentConfig.model_validate(job.config),
        PreparedDataset(job.dataset, verify=False),
        tracker=MlflowTracker(job.experiment, job.uri),
        runs=Path(job.runs),
        suite_id=job.suite_id,
        observe=observe,
        allow_leakage=job.allow_leakage,
    )


if __name__ == "__main__":
    sys.exit(serve(carry_out))
