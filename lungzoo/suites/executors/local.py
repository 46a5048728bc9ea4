"""One subprocess per run: memory is given back, and a crash takes one arm, not the suite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from lungzoo.events import Observer, from_json
from lungzoo.suites.executors import Job, log_tail

_GRACE_S = 30


class LocalExecutor:
    """Runs jobs one after the other on this machine."""

    def run(self, job: Job, observe: Observer) -> str:
        """Carry out a job in a fresh Python process."""
        log = Path(job.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
        with (
            log.open("ab") as log_file,
            subprocess.Popen(
                [sys.executable, "-m", "lungzoo.suites.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=environment,
                text=True,
                encoding="utf-8",
            ) as process,
        ):
            try:
                self._relay(process, job, observe)
                code = process.wait()
            except BaseException:
                _stop(process)
                raise
        if code == 0:
            return ""
        return f"{_describe_exit(code)} {log_tail(log)}".strip()

    def _relay(self, process: subprocess.Popen[str], job: Job, observe: Observer) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()  # stays open: its end tells the worker that this process is gone
        except BrokenPipeError:
            return
        for line in process.stdout:
            observe(from_json(line))


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            process.kill()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _describe_exit(code: int) -> str:
    if code == -signal.SIGTERM:
        return "the process was terminated."
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (often: the machine ran out of memory)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}."
    return f"the process ended with code {code}."
