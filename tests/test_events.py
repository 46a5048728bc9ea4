"""Events cross a process border as one line of JSON each."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lungzoo.events import (
    EpochDone,
    Event,
    Note,
    RunEnded,
    RunStarted,
    SearchStarted,
    StepDone,
    SuiteStarted,
    TrialEnded,
    TrialStarted,
    from_json,
    ignore,
    to_json,
)

EVENTS: list[Event] = [
    SuiteStarted("Quick look", ahead=("unet_cnn / scratch", "unet_resnet50 / scratch"), finished=2),
    RunStarted("unet_resnet50 / imagenet-frozen", 3, epochs=20, steps_per_epoch=12, params=4_000_000),
    StepDone(epoch=1, step=5, loss=0.25),
    EpochDone(epoch=1, loss=0.5, val_dice=0.75, best=True, seconds=1.5),
    RunEnded("unet_cnn / scratch", 0, status="skipped", reason="weights unavailable", score=None, seconds=0.0),
    SearchStarted("Fine-tuning", over=3, most=None),
    TrialStarted("0004", "tuner0", values="lr=0.001, recipe=finetune", until=6),
    TrialEnded("0004", "tuner0", state="failed", val_dice=None, epochs=2, seconds=3.5, reason="out of memory"),
    Note("two\nlines, a “quote” and a tab\t"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_round_trip(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert from_json(line) == event


def test_text_is_plain_json() -> None:
    assert json.loads(to_json(StepDone(1, 5, 0.25))) == {
        "event": "StepDone",
        "epoch": 1,
        "step": 5,
        "loss": 0.25,
    }


def test_every_event_type_is_covered() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_events_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVENTS[-1].text = ""  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"event": "Party"}', 'not an event: {"event": "Party"}'),
        ('{"epoch": 1}', 'not an event: {"epoch": 1}'),
        ('{"event": ["Note"]}', 'not an event: {"event": ["Note"]}'),
        ("[1]", r"not an event: [1]"),
        ("3", "not an event: 3"),
        ('{"event": "Note"}', 'not a Note: {"event": "Note"}'),
        (
            '{"event": "Note", "text": "a", "tone": 1}',
            'not a Note: {"event": "Note", "text": "a", "tone": 1}',
        ),
    ],
)
def test_anything_else_is_a_value_error(line: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(line)
    assert str(caught.value) == text


@pytest.mark.parametrize("line", ["", "I0000 tensorflow says hello", '{"event": "No'])
def test_text_that_is_not_json_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):
        from_json(line)


def test_ignore_takes_every_event() -> None:
    for event in EVENTS:
        ignore(event)
