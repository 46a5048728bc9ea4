"""What `lungzoo tune run --dry-run` says of the trials ahead."""

from __future__ import annotations

from typing import Any

import pytest

from lungzoo.cli.tune import _ahead

from ..search.conftest import BASE, SPACE, make_plan

LOSSES = {**SPACE, "parameters": {"train.loss": SPACE["parameters"]["train.loss"]}}
HYPERBAND = "Hyperband; Li et al. 2018, arXiv:1603.06560:"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"{HYPERBAND} 23 trials a sweep of up to 9 epochs."),
        ({"hours": 2}, f"{HYPERBAND} 23 trials a sweep of up to 9 epochs, at most 2 hours."),
        ({"space": LOSSES}, f"{HYPERBAND} at most 4 trials, for want of combinations, of up to 9 epochs."),
        ({"tuner": "random"}, "Random search: at most 20 trials."),
        ({"tuner": "grid", "space": LOSSES}, "Grid search: every combination."),
    ],
)
def test_what_a_search_will_do(changes: dict[str, Any], said: str) -> None:
    """Of two combinations, both train for one epoch, one for three, and the same for nine."""
    base = {**BASE, "train": {"epochs": 9}}
    assert _ahead(make_plan(**{"tuner": "hyperband", "trials": None, "base": base, **changes})) == said
