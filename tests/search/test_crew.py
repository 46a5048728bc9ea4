"""The processes of a search: who is started, and what follows when one dies. The processes are pretended ones."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
import time
from pathlib import Path
from textwrap import indent

import pytest

from lungzoo.errors import LungzooError, UsageError
from lungzoo.events import Note, TrialEnded, TrialStarted
from lungzoo.search import crew as crew_room
from lungzoo.search.crew import Crew, answers, check_address, visible_gpus
from lungzoo.search.outcome import Outcome, Outcomes
from lungzoo.search.stopping import ring

START = 'print(\'{"event": "TrialStarted", "number": "0000", "worker": "", "values": "", "until": 1}\', flush=True)\n'
END = (
    'print(\'{"event": "TrialEnded", "number": "0000", "worker": "", "state": "finished", "val_dice": 0.5, '
    '"epochs": 1, "seconds": 1.0, "reason": ""}\', flush=True)\n'
)
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.fixture
def crew(tmp_path, monkeypatch):
    """Make a crew whose processes run the given code; `starts` counts them."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "bin"), *sys.path]))
    monkeypatch.setattr(crew_room, "_MODULE", "pretended")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def make(code: str, workers: int = 1, **settings) -> Crew:
        count = (
            "import os, pathlib\n"
            f"starts = pathlib.Path({str(tmp_path / 'starts')!r})\n"
            "name = os.environ.get('KERASTUNER_TUNER_ID', '')\n"
            "with starts.open('a') as file: file.write(name + '\\n')\n"
            "count = starts.read_text().splitlines().count(name)\n"
        )
        (tmp_path / "bin" / "pretended.py").write_text(count + code)
        made = Crew({}, tmp_path, workers, [].append, lambda number, reason: None, lambda: None, **settings)
        return made

    return make


def starts(folder: Path) -> list[str]:
    return sorted((folder / "starts").read_text().splitlines())


def test_one_process_alone_has_no_chief(crew, tmp_path):
    made = crew(START + END)
    events: list[object] = []
    made.observe = events.append
    made.work()
    assert starts(tmp_path) == [""]
    assert [type(event) for event in events] == [TrialStarted, TrialEnded]


def test_two_workers_have_a_chief(crew, tmp_path):
    crew("import sys\nif name == 'chief': sys.stdin.readline(), sys.stdin.read()\n", workers=2).work()
    assert starts(tmp_path) == ["chief", "worker-1", "worker-2"]


def test_workers_of_another_machine_start_no_chief(crew, tmp_path):
    crew("", workers=2, address="10.0.0.1:8000", chief=False, name="far").work()
    assert starts(tmp_path) == ["far-1", "far-2"]


def test_a_chief_with_trials_left_in_hand_is_not_waited_for_once_the_time_is_up(crew, tmp_path, monkeypatch):
    """Until then it is, for the sake of other machines."""
    monkeypatch.setattr(crew_room, "_GRACE_S", 0.5)
    chief = "import sys\nif name == 'chief': sys.stdin.readline(), sys.stdin.read()\n"
    made = crew(chief, address="127.0.0.1:8000")
    waited: list[float] = []

    def tick() -> None:
        if list(made._children) == ["chief"]:
            waited.append(time.monotonic())
            if len(waited) == 10:
                ring(tmp_path)

    made.tick = tick
    made.work()
    assert len(waited) >= 10
    assert starts(tmp_path) == ["chief", "worker-1"]


def test_a_process_that_dies_starts_again(crew, tmp_path):
    made = crew(START + f"if count == 1:\n    {KILL}" + END)
    events: list[object] = []
    made.observe = events.append
    given_up: list[tuple[str, str]] = []
    made.give_up = lambda number, reason: given_up.append((number, reason))
    made.work()
    assert starts(tmp_path) == ["", ""]
    assert given_up == []
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == ["Trial 0000: the process was ended by SIGKILL (often: the machine ran out of memory)."]


def test_a_trial_that_kills_its_process_twice_is_given_up(crew, tmp_path):
    made = crew(f"if count > 2: raise SystemExit\n{START}{KILL}")
    given_up: list[tuple[str, str]] = []
    made.give_up = lambda number, reason: given_up.append((number, reason))
    made.work()
    assert given_up == [("0000", "the process was ended by SIGKILL (often: the machine ran out of memory).")]
    assert len(starts(tmp_path)) == 3


def broken(number: int) -> Outcome:
    return Outcome(f"{number:04d}", "failed", {}, reason="out of memory.")


def breaking(folder: Path, *numbers: int) -> str:
    """Code that ends trials without a Dice, as a worker does."""
    code = f"outcomes = pathlib.Path({str(folder / 'outcomes')!r})\noutcomes.mkdir(exist_ok=True)\n"
    for number in numbers:
        outcome = json.dumps(dataclasses.asdict(broken(number)))
        code += f"(outcomes / '{number}').write_text({outcome!r})\n"
        code += f"os.replace(outcomes / '{number}', outcomes / '{number:04d}.json')\n"
        code += END.replace("0000", f"{number:04d}")
    return code


BROKE = r"3 trials in a row broke.*The last: out of memory\. Mend the cause and run the same command"


def test_trials_that_break_in_a_row_end_the_search_whichever_worker_had_them(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(crew_room, "_MOST_BROKEN", 3)
    first, second = breaking(tmp_path, 0, 2), breaking(tmp_path, 1)
    rest = "import sys\nsys.stdin.readline(), sys.stdin.read()\n"
    code = f"if name == 'worker-1':\n{indent(first, '    ')}if name == 'worker-2':\n{indent(second, '    ')}{rest}"
    with pytest.raises(LungzooError, match=BROKE):
        crew(code, workers=2).work()


def test_trials_that_kill_their_processes_in_a_row_end_the_search(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(crew_room, "_MOST_BROKEN", 3)
    start = START.replace("0000", "%04d").replace(", flush", " % ((count - 1) // 2), flush")
    made = crew(start + KILL)
    made.give_up = lambda number, reason: Outcomes(tmp_path).write(broken(int(number)))
    with pytest.raises(LungzooError, match=BROKE):
        made.work()
    assert [outcome.number for outcome in Outcomes(tmp_path).all()] == ["0000", "0001", "0002"]


def test_trials_that_broke_before_do_not_count(crew, tmp_path, monkeypatch):
    """The same command goes on."""
    monkeypatch.setattr(crew_room, "_MOST_BROKEN", 3)
    for number in range(3):
        Outcomes(tmp_path).write(broken(number))
    crew(breaking(tmp_path, 3, 4)).work()
    with pytest.raises(LungzooError, match=BROKE):
        crew(breaking(tmp_path, 5, 6, 7)).work()


def test_the_crew_with_the_chief_judges_the_trials_of_other_machines_too(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(crew_room, "_MOST_BROKEN", 3)
    monkeypatch.setattr(crew_room, "_JUDGE_S", 0.1)
    busy = crew("import sys\nsys.stdin.readline(), sys.stdin.read()\n", address="127.0.0.1:8000")
    busy.tick = lambda: [Outcomes(tmp_path).write(broken(number)) for number in range(3)]
    with pytest.raises(LungzooError, match=BROKE):
        busy.work()


def test_a_crew_that_joined_leaves_it_to_the_other(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(crew_room, "_MOST_BROKEN", 3)
    crew(breaking(tmp_path, 0, 1, 2), address="10.0.0.1:8000", chief=False, name="far").work()
    assert len(Outcomes(tmp_path).all()) == 3


@pytest.mark.parametrize("trial", ["", START], ids=["before its first trial", "with a trial in hand"])
def test_a_process_that_says_why_it_cannot_go_on_ends_the_search(crew, tmp_path, trial):
    """Its trial is not given up: what it has trained lies where the same command finds it."""
    made = crew(f"{trial}import sys\nsys.exit('no store')")
    given_up: list[str] = []
    made.give_up = lambda number, reason: given_up.append(number)
    with pytest.raises(LungzooError, match=r"The search cannot go on: the process ended with code 1\. no store"):
        made.work()
    assert len(starts(tmp_path)) == 1
    assert given_up == []


def test_workers_of_another_machine_leave_when_its_chief_has_left(crew, tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        made = crew("import sys\nsys.exit('Socket closed')", address=address, chief=False, name="far")
        assert answers(address)
        with pytest.raises(LungzooError, match=r"The search cannot go on: .* Socket closed"):
            made.work()  # somebody is there: the fault is another
    made = crew("import sys\nsys.exit('Socket closed')", address=address, chief=False, name="far")
    notes: list[object] = []
    made.observe = notes.append
    made.work()
    assert notes == [Note(f"The chief at {address} has left: its search is over, or was stopped there.")]
    with pytest.raises(LungzooError, match=r"The search cannot go on: .* Socket closed"):  # a trial is left in hand
        crew(f"{START}import sys\nsys.exit('Socket closed')", address=address, chief=False, name="far").work()


def test_processes_that_die_before_any_trial_end_the_search(crew, tmp_path):
    with pytest.raises(LungzooError, match="ended again and again before its first trial"):
        crew(KILL).work()
    assert len(starts(tmp_path)) == 2


def test_an_interrupt_ends_all_processes(crew):
    made = crew("import sys, time\nsys.stdin.readline()\nsys.stdin.read()\n", workers=2)
    began = time.monotonic()

    def interrupt() -> None:
        if time.monotonic() - began > 1:
            raise KeyboardInterrupt

    made.tick = interrupt
    with pytest.raises(KeyboardInterrupt):
        made.work()
    assert made._children == {}
    assert time.monotonic() - began < 20


def test_each_worker_has_a_gpu_of_its_own(crew, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    made = crew("", workers=3)
    devices = [made._environment(f"worker-{number}", "h:1")["CUDA_VISIBLE_DEVICES"] for number in (1, 2, 3)]
    assert devices == ["2", "5", "2"]
    assert made._environment("chief", "h:1")["CUDA_VISIBLE_DEVICES"] == "-1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == []


@pytest.mark.parametrize("address", ["10.0.0.5", "host:", ":8000", "host:0", "host:65536", "host:80a", ""])
def test_an_address_without_a_host_or_port_is_refused(address):
    with pytest.raises(UsageError, match=rf"HOST:PORT with a port from 1 to 65535\. Received: '{address}'"):
        check_address(address)


def test_addresses_of_a_chief():
    for address in (None, "10.0.0.5:8000", "[::1]:1", "node-3.cluster:65535"):
        check_address(address)
