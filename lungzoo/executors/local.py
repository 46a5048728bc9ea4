"""One subprocess per run: memory is given back, and a crash takes one arm, not the suite."""

from __future__ import annotations

from pathlib import Path

from lungzoo.events import Observer
from lungzoo.executors import Job
from lungzoo.executors.process import ChildProcess


class LocalExecutor:
    """Runs jobs one after the other on this machine."""

    def run(self, job: Job, observe: Observer) -> str:
        """Carry out a job in a fresh Python process."""
        return ChildProcess("lungzoo.executors.worker", job.to_json(), Path(job.log)).relay(observe)
