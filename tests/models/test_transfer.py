"""Recipes as data: which parts train, when, and from where."""

import pytest

from lungzoo.config import TransferConfig
from lungzoo.errors import ConfigError
from lungzoo.models.transfer import RECIPES, Stage


@pytest.fixture(params=RECIPES.names())
def recipe(request):
    return RECIPES.get(request.param)


def plan(text: str, depth: int = 4, **options) -> tuple[Stage, ...]:
    transfer = TransferConfig.model_validate(text).model_copy(update={"options": tuple(options.items())})
    RECIPES.get(transfer.recipe).check(transfer)
    return RECIPES.get(transfer.recipe).plan(transfer, depth)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_shares_add_up_to_one(recipe, depth):
    for value in (None, 0.25, 1.0):
        options = {key: default if value is None else value for key, default in recipe.options.items()}
        stages = recipe.stages(depth, options)
        assert sum(stage.share for stage in stages) == pytest.approx(1)
        assert all(stage.share > 0 for stage in stages)


def test_is_fully_described(recipe):
    assert recipe.title
    assert recipe.about.endswith(".")
    assert recipe.start in ("pretrained", "random")


def test_gradual_unfreezes_one_level_at_a_time_from_the_deepest():
    assert plan("imagenet-gradual", unfreeze_share=0.8) == (
        Stage(0.2, 0), Stage(0.2, 1), Stage(0.2, 2), Stage(0.2, 3), Stage(pytest.approx(0.2), None),
    )  # fmt: skip


def test_staged_trains_the_decoder_first():
    assert plan("imagenet-staged") == (Stage(0.3, 0), Stage(0.7))


def test_random_frozen_never_trains_the_encoder():
    assert plan("random_frozen") == (Stage(1.0, 0, calibrates=True),)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("imagenet-discriminative", {"decai": 0.5}, "no option 'decai'. Did you mean 'decay'"),
        ("imagenet-discriminative", {"decay": 0.0}, r"must be a number in \(0, 1\]. Received: 0.0"),
        ("imagenet-discriminative", {"decay": True}, r"must be a number in \(0, 1\]. Received: True"),
        ("imagenet-random_frozen", {}, "starts from random weights. Received: weights 'imagenet'"),
        ("linear_probe", {}, "needs pretrained weights, written before it, such as 'imagenet-linear_probe'"),
    ],
)
def test_what_does_not_fit_is_refused(text, options, message):
    with pytest.raises(ConfigError, match=message):
        plan(text, **options)
