"""Processes that read one damaged or hostile file: little memory, little time, and nothing to reach."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def command(module: str) -> list[str]:
    """Return what runs a module of lungzoo in a process of its own; pass `environment()` along."""
    # -P: a module in the folder that one happens to be in must not be found.
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Return variables with which the process finds the packages that this one finds."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*(str(path) for path in sys.path if path), root])}


def confine(memory_bytes: int, file_bytes: int) -> None:
    """Bound what this process can take, for good; a system without some limit goes without it.

    Args:
        memory_bytes: address space.
        file_bytes: size of any file that it writes.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def allow_cpu(seconds: int) -> None:
    """Let this process be killed unless it calls this again before so many seconds of processor time are over.

    A slow disk or a busy machine cost nothing. On a system without such a limit, nothing happens.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, most))


def signal_name(code: int) -> str:
    """Return the signal that ended a process with a negative exit code, such as "SIGXCPU"."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
