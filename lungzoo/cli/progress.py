"""What a person sees while models train: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from lungzoo.events import EpochDone, Event, Note, RunEnded, RunStarted, StepDone, SuiteStarted


class PlainDisplay:
    """One line per run and epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._run: RunStarted | None = None
        self._seconds = 0.0
        self._epochs_left = 0

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Print what the event says."""
        match event:
            case SuiteStarted():
                self._line(event.title)
                self._line(_suite_line(event))
            case RunStarted():
                self._run = event
                self._line(f"{event.arm}, seed {event.seed}: {event.params / 1e6:.2f} M parameters")
            case EpochDone():
                self._line("  " + self._epoch_line(event))
            case RunEnded():
                self._line(_ended_line(event))
            case Note():
                self._line(event.text)

    def _epoch_line(self, event: EpochDone) -> str:
        epochs = self._run.epochs if self._run else 0
        left = (epochs - event.epoch - 1) * event.seconds
        best = " (best)" if event.best else ""
        return (
            f"epoch {event.epoch + 1}/{epochs}  loss {event.loss:.3f}  val Dice {event.val_dice:.3f}{best}  "
            f"{event.seconds:.0f} s, {left:.0f} s left"
        )

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class RichDisplay:
    """A bar for the suite and one for the run in hand; finished runs stay as lines above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._suite: TaskID | None = None
        self._task: TaskID | None = None
        self._ahead: list[str] = []
        self._run: RunStarted | None = None
        self._val_dice = "–"

    def __enter__(self) -> RichDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Move the bars."""
        match event:
            case SuiteStarted():
                self._start_suite(event)
            case RunStarted():
                self._start_run(event)
            case StepDone():
                self._step(event.epoch, event.step, event.loss)
            case EpochDone():
                self._val_dice = f"{event.val_dice:.3f}"
                self._step(event.epoch + 1, 0, event.loss)
            case RunEnded():
                self._end_run(event)
            case Note():
                self._print(event.text)

    def _start_suite(self, event: SuiteStarted) -> None:
        self._console.print(Text(event.title, style="bold"))
        self._print(_suite_line(event))
        self._ahead = list(event.ahead)
        self._suite = self._bars.add_task("All runs", total=len(event.ahead), state="")
        self._announce_next()

    def _announce_next(self) -> None:
        if self._ahead:
            self._task = self._bars.add_task(self._ahead.pop(0), total=None, state="starting …")

    def _start_run(self, event: RunStarted) -> None:
        self._run, self._val_dice = event, "–"
        total = event.epochs * event.steps_per_epoch
        if self._task is None:
            self._task = self._bars.add_task(event.arm, total=total, state="")
        self._bars.reset(self._task, description=f"{event.arm} · seed {event.seed}", total=total, state="building …")

    def _step(self, epoch: int, step: int, loss: float) -> None:
        if self._run is None or self._task is None:
            return
        shown = min(epoch + 1, self._run.epochs)
        self._bars.update(
            self._task,
            completed=epoch * self._run.steps_per_epoch + step,
            state=f"epoch {shown}/{self._run.epochs}  loss {loss:.3f}  val Dice {self._val_dice}",
        )

    def _end_run(self, event: RunEnded) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self._run = None
        self._print(_ended_line(event))
        if self._suite is not None:
            self._bars.advance(self._suite)
            self._announce_next()

    def _print(self, text: str) -> None:
        self._console.print(Text(text))


def make_display(console: Console | None = None) -> PlainDisplay | RichDisplay:
    """Return bars for a terminal, lines for a file or a pipe."""
    console = console or Console(stderr=True)
    return RichDisplay(console) if console.is_terminal else PlainDisplay(console)


def _suite_line(event: SuiteStarted) -> str:
    done = f", {event.finished} finished already (--fresh runs them again)" if event.finished else ""
    return f"{len(event.ahead)} run(s) to do{done}."


def _ended_line(event: RunEnded) -> str:
    name = f"{event.arm}, seed {event.seed}"
    if event.status == "finished" and event.score is not None:
        return f"✓ {name}: test Dice {event.score:.3f} after {event.seconds:.0f} s of training"
    return f"✗ {name}: {event.status}: {event.reason}"
