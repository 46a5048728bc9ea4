import subprocess
import sys

import pytest

from lungzoo import locks
from lungzoo.errors import BusyError, StorageError


def test_a_second_process_is_told(tmp_path):
    lock = locks.acquire(tmp_path / "lock", "busy")
    code = (
        f"from pathlib import Path; from lungzoo import locks; locks.acquire(Path({str(tmp_path / 'lock')!r}), 'taken')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "BusyError: taken" in done.stderr
    locks.release(lock, remove=False)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_death_of_the_owner_releases_it(tmp_path):
    code = (
        f"import os; from pathlib import Path; from lungzoo import locks; "
        f"locks.acquire(Path({str(tmp_path / 'lock')!r}), 'taken'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    locks.release(locks.acquire(tmp_path / "lock", "busy"), remove=True)
    assert not (tmp_path / "lock").exists()


def test_a_folder_that_takes_no_files():
    from pathlib import Path

    with pytest.raises(StorageError, match=r"Cannot .*Choose another folder"):
        locks.acquire(Path("/proc/lungzoo.lock"), "busy")


def test_within_one_process_too(tmp_path):
    lock = locks.acquire(tmp_path / "lock", "busy")
    with pytest.raises(BusyError, match="busy"):
        locks.acquire(tmp_path / "lock", "busy")
    locks.release(lock, remove=True)


def test_in_turn(tmp_path):
    lock = locks.acquire(tmp_path / "lock", "busy")
    with pytest.raises(BusyError, match="for too long"), locks.in_turn(tmp_path / "lock", 0.05, "for too long"):
        raise AssertionError("two at once")
    locks.release(lock, remove=False)
    with locks.in_turn(tmp_path / "lock", 0.05, "for too long"), pytest.raises(BusyError, match="taken"):
        locks.acquire(tmp_path / "lock", "taken")
    with locks.in_turn(tmp_path / "lock", 0.05, "for too long"):
        pass
