"""Titles and labels reach both displays as they are."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lungzoo.cli.progress import PlainDisplay, RichDisplay, make_display
from lungzoo.events import EpochDone, Note, RunEnded, RunStarted, StepDone, SuiteStarted


@pytest.mark.parametrize(("terminal", "kind"), [(True, RichDisplay), (False, PlainDisplay)])
def test_labels_and_titles_are_never_markup(terminal, kind):
    file, label = io.StringIO(), "lr[/high]"
    display = make_display(Console(file=file, width=160, force_terminal=terminal, color_system=None))
    assert isinstance(display, kind)
    with display:
        display(SuiteStarted("[/x] :fire:", (label,), 0))
        display(RunStarted(label, 0, 2, 3, 1_000_000))
        display(StepDone(0, 1, 0.5))
        display(EpochDone(0, 0.5, 0.7, True, 1.0))
        display(Note("[/note]"))
        display(RunEnded(label, 0, "failed", "no [/reason]", None, 2.0))
    text = file.getvalue()
    assert "[/x] :fire:" in text
    assert "[/note]" in text
    assert f"✗ {label}, seed 0: failed: no [/reason]" in text
