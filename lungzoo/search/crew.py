"""The processes of a search: one alone, or a chief with workers; one that dies is started again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lungzoo.errors import LungzooError, UsageError
from lungzoo.events import Event, Note, Observer, TrialEnded, TrialStarted
from lungzoo.executors.process import SAID_WHY, ChildProcess
from lungzoo.search.outcome import Outcomes
from lungzoo.search.stopping import time_is_up
from lungzoo.search.worker import CHIEF

_MODULE = "lungzoo.search.worker"
_MOST_DEATHS = 2  # of processes, before their trial is given up
_MOST_BROKEN = 10  # trials in a row; after so many, the search has a fault of its own
_TICK_S = 0.2
_PATIENCE_S = 5.0  # with a chief who does not answer
_JUDGE_S = 5.0  # between looks at the trials of other machines
_GRACE_S = 30.0  # for the workers of other machines, once the time is up and those of this one have left


@dataclass
class Crew:
    """Runs the processes of a search on this machine until there is nothing more to try.

    Args:
        order: what each process is told; see `lungzoo.search.worker`.
        folder: of the search, where logs go.
        workers: how many processes train; with one alone there is no chief.
        address: HOST:PORT of the chief; None picks a free port of this machine.
        chief: whether the chief is started here, too.
        observe: receives events, of one process at a time.
        give_up: called with (number of the trial, reason) when a trial has killed its process again and again.
        tick: called several times a second.
        name: begins the names of the workers, which must differ among machines.
    """

    order: dict[str, str]
    folder: Path
    workers: int
    observe: Observer
    give_up: Callable[[str, str], None]
    tick: Callable[[], None]
    address: str | None = None
    chief: bool = True
    name: str = "worker"
    _children: dict[str, ChildProcess] = field(default_factory=dict)
    _deaths: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _failure: BaseException | None = None
    _over: bool = False
    _judged: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._outcomes = Outcomes(self.folder)
        self._earlier = {outcome.number for outcome in self._outcomes.all()}

    def work(self) -> None:
        """Start the processes and wait until all workers have ended.

        Raises:
            LungzooError: a process ended badly for a reason that another attempt would not change, or too many trials
                in a row broke.
        """
        if CHIEF in self.name:
            raise UsageError(f"'{CHIEF}' in a name is the chief's. Received: '{self.name}'. Give another --name.")
        alone = self.workers == 1 and self.address is None
        names = [""] if alone else [f"{self.name}-{number}" for number in range(1, self.workers + 1)]
        address = "" if alone else self.address or f"127.0.0.1:{_free_port()}"
        threads = [threading.Thread(target=self._keep, args=(name, address)) for name in names]
        boss = None
        if not alone and self.chief:
            boss = threading.Thread(target=self._keep, args=(CHIEF, address))
            boss.start()
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._wait()
            if boss and self.address:
                self._wait_for_others(boss)
        finally:
            self._over = True
            self._stop_all()
            for thread in [*threads, *([boss] if boss else [])]:
                if thread.ident is not None:
                    thread.join()
        if self._failure:
            raise self._failure

    def _wait(self) -> None:
        time.sleep(_TICK_S)
        self.tick()
        if time.monotonic() - self._judged > _JUDGE_S:
            self._judged = time.monotonic()
            with self._lock:
                self._end_where_all_break()

    def _wait_for_others(self, boss: threading.Thread) -> None:
        """Wait for the workers of other machines.

        Once the time is up, they leave with their trials in hand: the chief, which waits for those, is not waited for.
        """
        patience_s = _GRACE_S
        while boss.is_alive() and not self._over and patience_s > 0:
            self._wait()
            if time_is_up(self.folder):
                patience_s -= _TICK_S

    def _keep(self, name: str, address: str) -> None:
        """Keep one process running: what ended by a crash starts again and goes on with its trial."""
        try:
            while not self._over:
                current: list[str] = []
                reason, code = self._run(name, address, current)
                if self._over:
                    return
                if not reason:
                    # A chief leaves when nobody works and there is nothing to do: who asks it now would wait in vain.
                    if name == CHIEF and not self.address:
                        self._over = True
                        self._stop_all()
                    return
                if not current and code == SAID_WHY and self._chief_has_left():
                    return
                self._after_death(name, reason, code, current[0] if current else "")
        except BaseException as error:
            self._failure = self._failure or error
            self._over = True
            self._stop_all()

    def _chief_has_left(self) -> bool:
        """Return whether the chief, on another machine, is gone: workers may ask it for a trial just as it leaves."""
        if self.chief or self.address is None or answers(self.address):
            return False
        with self._lock:
            self.observe(Note(f"The chief at {self.address} has left: its search is over, or was stopped there."))
        return True

    def _run(self, name: str, address: str, current: list[str]) -> tuple[str, int | None]:
        def listen(event: Event) -> None:
            if isinstance(event, TrialStarted):
                current[:] = [event.number]
                self._deaths.pop(name, None)
            elif isinstance(event, TrialEnded):
                current.clear()
            with self._lock:
                self.observe(event)
                if isinstance(event, TrialEnded):
                    self._end_where_all_break()

        child = ChildProcess(_MODULE, json.dumps(self.order), self._log(name), self._environment(name, address))
        with self._lock:
            self._children[name] = child
        if self._over:
            child.stop()
        try:
            return child.relay(listen), child.code
        finally:
            with self._lock:
                self._children.pop(name, None)

    def _after_death(self, name: str, reason: str, code: int | None, number: str) -> None:
        """Decide what follows the death of a process: its trial is tried again, then given up.

        Where the process could say why, it was not its trial, which would then be a row with the reason.
        """
        if name == CHIEF or code == SAID_WHY:
            raise LungzooError(f"The search cannot go on: {reason} See {self._log(name)}. The same command goes on.")
        key = number or name
        self._deaths[key] += 1
        with self._lock:
            self.observe(Note(f"{f'Trial {number}' if number else f'A worker ({name})'}: {reason}"))
        if self._deaths[key] < _MOST_DEATHS:
            return
        if not number:
            raise LungzooError(f"A worker ended again and again before its first trial: {reason} See {self._log(name)}")
        with self._lock:
            self.give_up(number, reason)
            self._end_where_all_break()

    def _end_where_all_break(self) -> None:
        """Raise if the last trials broke, whichever worker had them; those of an earlier attempt do not count.

        A crew without the chief leaves that to the one that has it: ending here would not end the search.
        """
        if not self.chief:
            return
        new = [outcome for outcome in self._outcomes.all() if outcome.number not in self._earlier]
        last = new[-_MOST_BROKEN:]
        if len(last) < _MOST_BROKEN or any(outcome.val_dice is not None for outcome in last):
            return
        raise LungzooError(
            f"{_MOST_BROKEN} trials in a row broke, so the search was ended; each is a row with its reason. The last: "
            f"{last[-1].reason} Mend the cause and run the same command, or start over with --fresh."
        )

    def _stop_all(self) -> None:
        with self._lock:
            children = list(self._children.values())
        threads = [threading.Thread(target=child.stop) for child in children]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name or 'worker'}.txt"

    def _environment(self, name: str, address: str) -> dict[str, str]:
        if not name:
            return {}
        host, _, port = address.rpartition(":")
        chosen = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port}
        if name == CHIEF:
            return chosen | {"CUDA_VISIBLE_DEVICES": "-1"}
        number = int(name.rpartition("-")[2]) - 1
        if gpus := visible_gpus():
            chosen |= {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)], "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        elif self.workers > 1:
            cores = str(max(len(os.sched_getaffinity(0)) // self.workers, 1) if hasattr(os, "sched_getaffinity") else 1)
            chosen |= {"TF_NUM_INTRAOP_THREADS": cores, "OMP_NUM_THREADS": cores}
        return chosen


def check_address(address: str | None) -> None:
    """Raise UsageError unless an address is HOST:PORT, or None."""
    if address is None:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"The address of a chief is HOST:PORT with a port from 1 to 65535. Received: '{address}'. "
            "Example: 10.0.0.5:8000"
        )


def answers(address: str) -> bool:
    """Return whether somebody listens at HOST:PORT, within a few seconds."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except OSError:
        return False
    return True


def visible_gpus() -> list[str]:
    """Return the numbers or names of the GPUs that this process may use, without loading a framework."""
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [each.strip() for each in chosen.split(",") if each.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
