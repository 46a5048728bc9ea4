"""What a person sees while a search runs: a bar on a terminal, a line per trial elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from lungzoo.events import EpochDone, Event, Note, SearchStarted, TrialEnded, TrialStarted


class SearchDisplay:
    """A line for each trial that is over; on a terminal also what is running."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all: TaskID | None = None
        self._running: dict[str, TaskID] = {}
        self._over = 0
        self._most: int | None = None
        self._best: tuple[float, str] | None = None

    def __enter__(self) -> SearchDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show what the event says."""
        match event:
            case SearchStarted():
                self._start(event)
            case TrialStarted():
                self._add(event)
            case EpochDone() if len(self._running) == 1:  # an epoch does not say whose it is
                self._bars.update(*self._running.values(), completed=event.epoch + 1, state=_epoch(event))
            case TrialEnded():
                self._end(event)
            case Note():
                self._line(event.text)

    def _start(self, event: SearchStarted) -> None:
        self._over, self._most = event.over, event.most
        self._console.print(Text(event.title, style="bold"))
        if event.over:
            self._line(f"{event.over} trial(s) over already; the search goes on. --fresh starts it over.")
        self._all = self._bars.add_task("Trials", total=event.most, completed=event.over, state="")

    def _add(self, event: TrialStarted) -> None:
        # A worker has one trial at a time: one that it left without an end was cut off with its process.
        if (left := self._running.pop(event.worker, None)) is not None:
            self._bars.remove_task(left)
        self._running[event.worker] = self._bars.add_task(
            f"trial {event.number}", total=event.until, state=event.values
        )

    def _end(self, event: TrialEnded) -> None:
        if (task := self._running.pop(event.worker, None)) is not None:
            self._bars.remove_task(task)
        self._over += 1
        if event.val_dice is not None and event.state == "finished":
            self._best = max(self._best or (-1.0, ""), (event.val_dice, event.number))
        self._line(_ended(event))
        if self._all is not None:
            best = f"best {self._best[0]:.3f}, trial {self._best[1]}" if self._best else ""
            self._bars.update(self._all, completed=self._over, state=f"{self._over} over; {best}".rstrip("; "))

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def make_search_display(console: Console | None = None) -> SearchDisplay:
    """Return the display on standard error."""
    return SearchDisplay(console or Console(stderr=True))


def _epoch(event: EpochDone) -> str:
    return f"epoch {event.epoch + 1}  loss {event.loss:.3f}  val Dice {event.val_dice:.3f}"


def _ended(event: TrialEnded) -> str:
    took = f"{event.epochs} epoch(s) in {event.seconds:.0f} s"
    if event.val_dice is None:
        return f"✗ trial {event.number}: {event.state}: {event.reason}"
    reason = f", {event.state}: {event.reason}" if event.reason else ""
    return f"✓ trial {event.number}: validation Dice {event.val_dice:.3f}, {took}{reason}"
