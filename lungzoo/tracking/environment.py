"""What a result was produced with: versions, machine, code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("lungzoo", "keras", "tensorflow", "jax", "numpy", "pandas", "scipy", "mlflow")


def describe_environment() -> dict[str, Any]:
    """Return versions of the packages that matter, Python, the machine and the git commit of the code."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": processor(),
        "cpus": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git_commit": git_commit(),
    }


def processor() -> str:
    """Return the name of the processor, or the kind of machine where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next((name for name in names if name), "") or platform.processor() or platform.machine()


def git_commit() -> str:
    """Return the commit of the checkout that this code runs from, "+changes" if it was edited, "" if installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    commit = _git(root, "rev-parse", "HEAD")
    return commit + ("+changes" if commit and _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far in MB (10⁶ bytes); NaN where the system cannot tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
