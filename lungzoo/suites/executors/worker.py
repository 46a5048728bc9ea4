"""The process behind one run: a job comes in on stdin, events go out on stdout, everything else to the log."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

from lungzoo.events import Event, Note, to_json
from lungzoo.suites.executors import Job


def main() -> int:
    """Carry out the job; returns the exit code: 0 when the run was recorded, 1 when the reason is in the log."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print belongs to the log, not among the events
    job = Job(**json.loads(sys.stdin.readline()))
    end_with_parent()

    from lungzoo.config import ExperimentConfig
    from lungzoo.data.store import PreparedDataset
    from lungzoo.errors import LungzooError
    from lungzoo.experiment import run_experiment
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    def observe(event: Event) -> None:
        _send(events, event)

    try:
        run_experiment(
            ExperimentConfig.model_validate(job.config),
            PreparedDataset(job.dataset, verify=False),
            tracker=MlflowTracker(job.experiment, job.uri),
            runs=Path(job.runs),
            suite_id=job.suite_id,
            observe=observe,
            allow_leakage=job.allow_leakage,
        )
    except LungzooError as error:
        observe(Note(str(error)))
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def end_with_parent() -> None:
    """Interrupt this process when its parent is gone; call it once what the parent wrote first has been read."""
    signal.signal(signal.SIGINT, _interrupt_once)  # background jobs are born ignoring it
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _interrupt_once(number: int, frame: object) -> None:
    """Interrupt; a second signal must not cut off the tidying up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _send(events: TextIO, event: Event) -> None:
    events.write(to_json(event) + "\n")
    events.flush()


def _leave_with_parent() -> None:
    """Interrupt this process when stdin ends, which it does when the parent is gone, however it died."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
