"""Search spaces: limits, keys, conditions, and how many combinations there are."""

import math

import pytest

from lungzoo.config import Parameter, SpaceConfig, experiment_of
from lungzoo.content import content_names
from lungzoo.errors import ConfigError
from lungzoo.schema import parse
from lungzoo.search.space import _check_keys, check_space, count_combinations, in_order, load_space, values_of

from .conftest import BASE, SPACE, make_space


def test_values_of_a_range_with_a_step():
    assert values_of(Parameter(low=0.0, high=0.4, step=0.2)) == pytest.approx((0.0, 0.2, 0.4))
    assert values_of(Parameter(low=-2.0, high=-1.0, step=0.5)) == pytest.approx((-2.0, -1.5, -1.0))
    assert values_of(Parameter(low=2, high=5)) == (2, 3, 4, 5)
    assert values_of(Parameter(low=4, high=64, step=2, scale="log")) == (4, 8, 16, 32, 64)
    assert values_of(Parameter(low=1e-3, high=1e-1, scale="log")) is None
    assert values_of(Parameter(low=4, high=64, scale="log")) is None


def test_combinations_by_hand():
    """Two losses × (no attention, or scSE with dropout 0, 0.2 or 0.4) = 2 × (1 + 3) = 8."""
    parameters = {key: value for key, value in SPACE["parameters"].items() if key != "train.learning_rate"}
    assert count_combinations(make_space(**parameters)) == 8
    assert count_combinations(make_space()) == math.inf


def test_a_parameter_comes_after_the_one_it_depends_on():
    turned = dict(reversed(SPACE["parameters"].items()))
    keys = [key for key, _ in in_order(make_space(**turned))]
    assert keys.index("model.decoder_attention") < keys.index("model.decoder_dropout")


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({}, "give either choices, or low and high"),
        ({"choices": [1], "low": 0, "high": 1}, "give either choices, or low and high"),
        ({"low": 1}, "low and high must both be given, and rise"),
        ({"low": 2, "high": 1}, "low and high must both be given, and rise"),
        ({"low": 0, "high": 1, "scale": "log"}, "scale 'log' needs a range above 0"),
        ({"low": 1, "high": 8, "scale": "log", "step": 1}, "must be above 1"),
        ({"choices": [1, 1]}, "choices must differ"),
        ({"choices": [0, 0.0]}, "choices must differ"),
        ({"choices": [1, 2], "step": 1}, "belong to a range"),
    ],
)
def test_limits_that_make_no_sense(parameter, message):
    with pytest.raises(ConfigError, match=message):
        make_space(**{"train.batch_size": parameter})


def test_a_typo_within_a_parameter_names_the_nearest():
    with pytest.raises(ConfigError, match=r"hihg'\. Did you mean 'high'\?"):
        make_space(**{"train.learning_rate": {"low": 1e-3, "hihg": 1e-1}})


def test_a_typo_in_a_key_names_the_nearest():
    space = make_space(**{"train.learning_rat": {"low": 1e-3, "high": 1e-1}})
    with pytest.raises(ConfigError, match=r"unknown key 'train.learning_rat'\. Did you mean 'learning_rate'\?"):
        _check_keys(space)
    with pytest.raises(ConfigError, match=r"unknown key 'trian'\. Did you mean 'train'\?"):
        _check_keys(make_space(**{"trian.loss": {"choices": ["dice", "bce"]}}))
    with pytest.raises(ConfigError, match=r"Unknown key 'train.learning_rat'\. Did you mean 'learning_rate'\?"):
        check_space(space, BASE)


def test_a_value_that_does_not_fit_is_found_before_anything_starts():
    with pytest.raises(ConfigError, match=r"parameter 'train.loss' = 'dise': .*Did you mean 'dice'"):
        check_space(make_space(**{"train.loss": {"choices": ["dice", "dise"]}}), BASE)
    with pytest.raises(ConfigError, match=r"'train.batch_size' = 0"):
        check_space(make_space(**{"train.batch_size": {"low": 0, "high": 8}}), BASE)


def test_a_run_that_is_not_there_is_found_before_anything_starts(tracker):
    space = make_space(transfer={"choices": ["scratch", "run:nothing-finetune"]})
    with pytest.raises(ConfigError, match="parameter 'transfer' = 'run:nothing-finetune': No run 'nothing'"):
        check_space(space, BASE, tracker)
    check_space(space, BASE)  # nobody to ask


def test_values_between_the_ends_of_a_range_are_tried_where_they_can_be_counted(monkeypatch):
    tried = []
    monkeypatch.setattr(
        "lungzoo.search.space.check_settings", lambda config, tracker: tried.append(config.train.batch_size)
    )
    check_space(make_space(**{"train.batch_size": {"low": 4, "high": 12, "step": 4}}), BASE)
    assert tried[1:] == [4, 8, 12]
    tried.clear()
    check_space(make_space(**{"train.batch_size": {"low": 1, "high": 1000}}), BASE)
    assert (len(tried), tried[1], tried[-1], len(set(tried[1:]))) == (101, 1, 1000, 100)


@pytest.mark.parametrize("key", ["train.train_seed", "train.epochs", "label"])
def test_what_the_search_sets_itself_is_not_searched(key):
    with pytest.raises(ConfigError, match=f"'{key}' cannot be searched"):
        _check_keys(make_space(**{key: {"choices": [1, 2]}}))


@pytest.mark.parametrize("key", ["score.threshold", "data.split_seed", "data.consensus_readers"])
def test_what_changes_the_scoring_is_not_searched(key):
    with pytest.raises(ConfigError, match="it changes what is scored"):
        _check_keys(make_space(**{key: {"choices": [1, 2]}}))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"model.decoder_atention": ["scse"]}, "unknown parameter .*Did you mean 'model.decoder_attention'"),
        ({"model.decoder_attention": ["se"]}, "asks for model.decoder_attention = 'se'"),
        ({"model.decoder_attention": []}, "names no value"),
        ({"train.learning_rate": [0.01]}, "names 'train.learning_rate', which is a range"),
    ],
)
def test_conditions_that_cannot_hold(when, message):
    parameters = {**SPACE["parameters"], "model.decoder_dropout": {"low": 0.0, "high": 0.4, "when": when}}
    with pytest.raises(ConfigError, match=message):
        _check_keys(make_space(**parameters))


def test_a_condition_on_a_condition_with_a_typo():
    parameters = {
        "model.decoder_dropout": {"low": 0.0, "high": 0.4, "when": {"model.decoder_attention": ["scse"]}},
        "model.decoder_attention": {"choices": ["none", "scse"], "when": {"train.los": ["dice"]}},
        "train.loss": {"choices": ["dice", "bce"]},
    }
    with pytest.raises(ConfigError, match=r"unknown parameter 'train\.los'.*Did you mean 'train\.loss'"):
        _check_keys(make_space(**parameters))


def test_conditions_in_a_circle():
    parameters = {
        "model.decoder_attention": {"choices": ["none", "scse"], "when": {"train.loss": ["dice"]}},
        "train.loss": {"choices": ["dice", "bce"], "when": {"model.decoder_attention": ["none"]}},
    }
    with pytest.raises(ConfigError, match="round in a circle"):
        _check_keys(make_space(**parameters))


def test_a_preset_takes_the_place_of_defaults_but_not_of_what_was_given():
    config = experiment_of(BASE, {"augment.preset": "medium"}, "test")
    assert (config.augment.preset, config.augment.rotate_deg, config.augment.shift_px) == ("medium", 30.0, 4)


def test_a_recipe_keeps_its_short_form_beside_its_options():
    config = experiment_of(BASE, {"transfer": "imagenet-staged", "transfer.options.decoder_share": 0.5}, "test")
    assert (config.transfer.recipe, config.transfer.weights) == ("staged", "imagenet")
    assert dict(config.transfer.options) == {"decoder_share": 0.5}


def test_a_key_that_leads_through_a_value():
    with pytest.raises(ConfigError, match="'epochs' has no keys of its own"):
        experiment_of(BASE, {"train.epochs.most": 3}, "test")


@pytest.mark.parametrize(
    "model",
    [
        {"name": "unet_mobilenetv2"},
        {"name": "unet_mobilenetv2", "encoder_depth": 4},
        {"name": "unet_resnet50"},
        {"name": "fpn_efficientnetv2b0"},
        {"name": "deeplabv3plus_resnet18"},
    ],
    ids=lambda model: "-".join(map(str, model.values())),
)
@pytest.mark.parametrize("name", content_names("spaces"))
def test_shipped_spaces_can_run(name, model):
    """At the sizes that models have by themselves, too: the pages say no others."""
    space = load_space(name)
    check_space(space, {"model": model, "transfer": "imagenet-finetune"})
    assert space.name == name
    assert space.description
    assert isinstance(parse(SpaceConfig, space.model_dump(), "again"), SpaceConfig)
