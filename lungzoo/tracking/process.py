"""Who and which process wrote a run."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """Return the name of the user, "" where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # a container may run under a number that has no name


def alive(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    if os.name != "posix" or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
