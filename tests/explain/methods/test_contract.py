"""What every method promises, whichever are registered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.explain.contract import EXPLANATIONS, Subject
from lungzoo.inference.predictor import Predictor

NAMES = EXPLANATIONS.names()
STACK = np.random.default_rng(1).integers(0, 255, (5, 21, 37)).astype(np.uint8)
REGION = np.zeros((21, 37), bool)
REGION[8:13, 20:29] = True


@pytest.fixture(scope="module")
def every(build: Callable[..., Predictor]) -> Predictor:
    """2.5D, with a label head and dropout: any method can explain it."""
    return build(in_slices=3, labels=["benign", "malignant"], decoder_dropout=0.3)


def members(name: str, predictor: Predictor) -> list[Predictor]:
    return [predictor] * (2 if name == "uncertainty" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image", [STACK, np.full_like(STACK, 90)], ids=["noise", "constant"])
def test_a_map_has_the_slices_size_and_is_finite(
    name: str, image: np.ndarray, every: Predictor, subject_of: Callable[..., Subject]
) -> None:
    method, predictors = EXPLANATIONS.get(name), members(name, every)
    options = method.options()
    method.check(predictors, options)
    heat = method.explain(subject_of(predictors, image, REGION), options)
    assert heat.values.shape == (21, 37)
    assert heat.values.dtype == np.float32
    assert np.isfinite(heat.values).all()
    assert heat.signed or heat.values.min() >= 0
    assert heat.quantity


@pytest.mark.parametrize("name", NAMES)
def test_a_method_says_what_it_is(name: str) -> None:
    method = EXPLANATIONS.get(name)
    assert method.title
    assert method.about
    assert re.search(r"\d{4}, arXiv:\d{4}\.\d{4,5}$", method.paper)
    assert set(method.defaults) == set(method.options().model_dump())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "uncertainty"])
def test_several_models_are_refused_where_one_is_explained(name: str, every: Predictor) -> None:
    method = EXPLANATIONS.get(name)
    with pytest.raises(UsageError, match=rf"'{name}' is of one model\. Received: 2 --weights\..*--method uncertainty"):
        method.check([every, every], method.options())


@pytest.mark.parametrize("name", ["seg-grad-cam", "seg-hires-cam", "grad-cam", "occlusion"])
def test_3d_models_are_refused_by_name(name: str, every: Predictor) -> None:
    from dataclasses import replace

    method: Any = EXPLANATIONS.get(name)
    with pytest.raises(UsageError, match=r"'random' is a 3D model\. Allowed for those: --method uncertainty"):
        method.check([replace(every, is_3d=True)], method.options())
