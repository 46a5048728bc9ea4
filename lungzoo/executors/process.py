"""A Python process that takes one line of JSON, sends events back, and never outlives the one that started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TextIO

from lungzoo.errors import LungzooError
from lungzoo.events import Event, Note, Observer, from_json, to_json

_GRACE_S = 30
SAID_WHY = 1
"""Exit code of a process that an error ended, ours or any other of Python's: another attempt would end alike."""


class ChildProcess:
    """A module of lungzoo that runs in a process of its own; see `serve` for the other side.

    Args:
        module: what `python -m` runs.
        order: what it is to do, one line of JSON.
        log: file for what it writes beside its events.
        environment: variables beside those of this process.
    """

    def __init__(self, module: str, order: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._order, self._log = order, log
        self.code: int | None = None
        """Exit code, once `relay` has returned."""
        with log.open("ab") as log_file:
            self._log_start = log_file.tell()  # what stands before is of earlier processes
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, **(environment or {})},
                text=True,
                encoding="utf-8",
            )

    def relay(self, observe: Observer) -> str:
        """Send the order, hand on events until the process ends, and return "" or why it ended badly."""
        with self._process as process:
            try:
                self._relay(process, observe)
                self.code = process.wait()
            except BaseException:
                self.stop()
                raise
        return "" if self.code == 0 else f"{describe_exit(self.code)} {log_tail(self._log, self._log_start)}".strip()

    def _relay(self, process: subprocess.Popen[str], observe: Observer) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(self._order + "\n")
            process.stdin.flush()  # stays open: its end tells the child that this process is gone
        except BrokenPipeError:
            return
        for line in process.stdout:
            observe(from_json(line))

    def stop(self) -> None:
        """Interrupt the process, wait until it has tidied up, and kill it if that takes too long."""
        process = self._process
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


def serve(work: Callable[[dict[str, Any], Observer], None]) -> int:
    """Do the work of a child process.

    Args:
        work: receives the order and an observer.

    Returns:
        The exit code: 0 where it is done, 1 where it raised a LungzooError, which is told as a note and in the log,
        and 130 where it was interrupted.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print belongs to the log, not among the events
    order = json.loads(sys.stdin.readline())
    end_with_parent()
    try:
        work(order, lambda event: _send(events, event))
    except KeyboardInterrupt:
        return 130
    except LungzooError as error:
        _send(events, Note(str(error)))
        sys.stderr.write(f"{error}\n")
        return SAID_WHY
    return 0


def end_with_parent() -> None:
    """Interrupt this process when its parent is gone; call it once what the parent wrote first has been read."""
    signal.signal(signal.SIGINT, _interrupt_once)  # background jobs are born ignoring it
    threading.Thread(target=_leave_with_parent, args=(sys.stdin,), daemon=True).start()


def _interrupt_once(number: int, frame: object) -> None:
    """Interrupt; a second signal must not cut off the tidying up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _send(events: TextIO, event: Event) -> None:
    events.write(to_json(event) + "\n")
    events.flush()


def _leave_with_parent(stdin: IO[str]) -> None:
    """Interrupt this process when stdin ends, which it does when the parent is gone, however it died."""
    stdin.read()
    os.kill(os.getpid(), signal.SIGINT)


def describe_exit(code: int) -> str:
    """Return how a process ended that did not end well, in words."""
    if code == -signal.SIGTERM:
        return "the process was terminated."
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (often: the machine ran out of memory)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}."
    return f"the process ended with code {code}."


def log_tail(path: Path, start: int = 0, lines: int = 3) -> str:
    """Return the last non-empty lines of a log file on one line, of those from byte `start` on."""
    try:
        text = path.read_bytes()[start:].decode("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in text[-lines:] if line.strip())[:400]
