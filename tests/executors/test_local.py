import signal
import subprocess
import sys
import time

import pytest

from lungzoo.events import Note
from lungzoo.executors import Job, process
from lungzoo.executors.local import LocalExecutor
from lungzoo.executors.process import describe_exit, log_tail


def job(tmp_path) -> Job:
    return Job({}, "no-dataset", str(tmp_path), str(tmp_path / "log.txt"), "s", f"sqlite:///{tmp_path}/m.db", None)


def with_worker(monkeypatch, code: str) -> None:
    original = subprocess.Popen

    def popen(command, **settings):
        return original([sys.executable, "-c", code], **settings)

    monkeypatch.setattr(process.subprocess, "Popen", popen)


def test_events_are_relayed(tmp_path, monkeypatch):
    with_worker(monkeypatch, 'print(\'{"event": "Note", "text": "hello"}\')')
    events = []
    assert LocalExecutor().run(job(tmp_path), events.append) == ""
    assert events == [Note("hello")]


def test_a_crash_is_described_with_the_end_of_the_log(tmp_path, monkeypatch):
    with_worker(monkeypatch, "import sys; sys.exit('boom')")
    assert LocalExecutor().run(job(tmp_path), print) == "the process ended with code 1. boom"


def test_an_earlier_death_in_the_same_log_is_not_the_reason(tmp_path, monkeypatch):
    def reason(code: str) -> str:
        with monkeypatch.context() as patched:
            with_worker(patched, code)
            return LocalExecutor().run(job(tmp_path), print)

    assert reason("import sys; sys.exit('boom')") == "the process ended with code 1. boom"
    killed = "the process was ended by SIGKILL (often: the machine ran out of memory)."
    assert reason("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == killed
    assert reason("import sys; sys.exit('again')") == "the process ended with code 1. again"
    assert (tmp_path / "log.txt").read_text() == "boom\nagain\n"


def test_a_kill_is_described(tmp_path, monkeypatch):
    with_worker(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL (often: the machine ran out of memory)" in LocalExecutor().run(job(tmp_path), print)


def test_a_worker_that_cannot_open_its_dataset_says_so(tmp_path):
    events = []
    reason = LocalExecutor().run(job(tmp_path), events.append)
    assert "model: Field required" in reason or "Field required" in reason


def test_a_worker_ends_with_its_parent(tmp_path, monkeypatch):
    """Also where it was born ignoring SIGINT, as the children of a shell's background jobs are."""
    with_worker(
        monkeypatch,
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from lungzoo.executors.process import end_with_parent\n"
        "sys.stdin.readline()\n"
        "end_with_parent()\n"
        'print(\'{"event": "Note", "text": "ready"}\', flush=True)\n'
        "time.sleep(60)",
    )

    def interrupted(event):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().run(job(tmp_path), interrupted)
    assert time.monotonic() - began < 15  # by itself, not killed after the time of grace


def test_exit_codes_in_words():
    assert describe_exit(-signal.SIGTERM) == "the process was terminated."
    assert describe_exit(-signal.SIGSEGV) == "the process was ended by SIGSEGV."
    assert describe_exit(3) == "the process ended with code 3."


def test_log_tail(tmp_path):
    (tmp_path / "log").write_text("a\n\nb\nc\nd\n")
    assert log_tail(tmp_path / "log") == "b | c | d"
    assert log_tail(tmp_path / "log", start=5) == "c | d"
    assert log_tail(tmp_path / "none") == ""
