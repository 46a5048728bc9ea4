"""A small space and a search on it."""

from __future__ import annotations

from typing import Any

import pytest

from lungzoo.config import SpaceConfig
from lungzoo.schema import parse
from lungzoo.search.plan import SearchPlan

from ..conftest import TINY

SPACE: dict[str, Any] = {
    "name": "small",
    "title": "A small space",
    "parameters": {
        "train.learning_rate": {"low": 1e-3, "high": 1e-1, "scale": "log"},
        "train.loss": {"choices": ["dice", "bce"]},
        "model.decoder_attention": {"choices": ["none", "scse"]},
        "model.decoder_dropout": {
            "low": 0.0,
            "high": 0.4,
            "step": 0.2,
            "when": {"model.decoder_attention": ["scse"]},
        },
    },
}
BASE: dict[str, Any] = {**TINY, "transfer": "scratch"}


def make_space(**parameters: Any) -> SpaceConfig:
    """A space of the given parameters, or the small one."""
    return parse(SpaceConfig, {**SPACE, "parameters": parameters or SPACE["parameters"]}, "test")


def make_plan(**changes: Any) -> SearchPlan:
    """A search of the small space."""
    values = {"name": "s", "space": SPACE, "base": BASE, "tuner": "random", "trials": 3, "dataset": "0" * 64}
    return parse(SearchPlan, {**values, **changes}, "test")


@pytest.fixture
def plan() -> SearchPlan:
    return make_plan()
