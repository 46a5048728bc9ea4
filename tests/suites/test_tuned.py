"""Arms that a search has tuned, in a suite and in its report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungzoo.config import AugmentConfig, SuiteConfig
from lungzoo.errors import ConfigError, UnknownNameError
from lungzoo.metrics.contract import METRICS
from lungzoo.schema import parse
from lungzoo.statistics.paired import compare
from lungzoo.suites import tuned as tuned_room
from lungzoo.suites.grid import expand, plan_suite
from lungzoo.suites.report.enhancement import enhancement_in_words
from lungzoo.tracking.record import SuitePlan, TunedArm
from lungzoo.weights.toml import toml_text

TUNED = {
    "name": "better",
    "model": "cnn_scratch",
    "baseline": {"recipe": "scratch"},
    "settings": {"train.learning_rate": 0.02, "train.loss": [{"name": "dice", "weight": 1.0, "options": {}}]},
    "val_dice": 0.6,
    "val_curve": [0.5, 0.6],
    "provenance": {
        "search": "better",
        "space": "small",
        "tuner": "random",
        "trials": 20,
        "epochs": 60,
        "train_seconds": 7200.0,
        "search_seed": 0,
        "train_seeds": [0],
        "dataset": "phantom",
        "dataset_fingerprint": "0" * 64,
        "split_fingerprint": "1" * 64,
    },
}


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "better.toml"
    path.write_text(toml_text(TUNED))
    return f"tuned:{path}"


def make_suite(*transfers: str, models=("cnn_scratch",)) -> SuiteConfig:
    values = {
        "name": "s",
        "title": "S",
        "seeds": [5, 6],
        "train": {"epochs": 2},
        "arms": [{"models": list(models), "transfers": list(transfers)}],
    }
    return parse(SuiteConfig, values, "test")


def test_a_tuned_arm_has_the_settings_found_and_the_suites_own_beside_them(found):
    plain, _, tuned, _ = expand(make_suite("scratch", found))
    assert (plain.train.learning_rate, tuned.train.learning_rate) == (1e-3, 0.02)
    assert ([term.name for term in tuned.train.loss], tuned.train.epochs) == (["dice"], 2)
    assert tuned.transfer.recipe == "scratch"
    assert tuned.arm == f"cnn_scratch / scratch / {found}"


def test_a_tuned_preset_takes_the_place_of_the_suites_and_not_of_what_was_given_beside_it(tmp_path):
    path = tmp_path / "light.toml"
    path.write_text(toml_text({**TUNED, "settings": {"augment.preset": "light", "augment.shift_px": 4}}))
    suite = make_suite(f"tuned:{path}")
    suite = suite.model_copy(update={"augment": AugmentConfig(preset="heavy", elastic=0.01)})
    arm = expand(suite)[0].augment
    assert (arm.preset, arm.rotate_deg, arm.elastic) == ("light", 10.0, 0.01)
    assert (arm.cutout, arm.mixup, arm.copy_paste) == (0.0, 0.0, 0.0)


def test_tuned_settings_of_another_model(found):
    with pytest.raises(ConfigError, match=r"is of the model 'cnn_scratch'\. Received: 'unet_mobilenetv2'"):
        expand(make_suite(found, models=("unet_mobilenetv2",)))


def test_tuned_settings_that_are_not_there():
    with pytest.raises(UnknownNameError, match="Unknown tuned result 'nothing'"):
        expand(make_suite("tuned:nothing"))


def test_the_plan_says_what_the_search_cost_and_which_seeds_it_saw(found, phantom):
    suite = make_suite("scratch", found)
    plan = plan_suite(suite, expand(suite), phantom)
    assert plan.tuned == (
        TunedArm(
            f"cnn_scratch / scratch / {found}", "cnn_scratch / scratch", "better", 20, 60, 7200.0, (), "another dataset"
        ),
    )
    assert SuitePlan.from_json(plan.to_json()) == plan
    seen = make_suite("scratch", found).model_copy(update={"seeds": (0, 1)})
    assert plan_suite(seen, expand(seen), phantom).tuned[0].seeds_seen == (0,)


def test_shipped_results_of_searches_can_be_read():
    from lungzoo.content import content_names

    for name in content_names("best"):
        assert tuned_room.load_tuned(name).name == name


ARM = TunedArm("t", "d", "better", 20, 60, 7200.0)


def words(difference: float, noise: float = 0.01, arm: TunedArm = ARM, metric: str = "dice", turned: bool = False):
    rng = np.random.default_rng(0)
    default = rng.uniform(0.4, 0.6, (3, 120))
    tuned = default + difference + rng.normal(0, noise, (3, 120))
    values, names = ([default, tuned], ("d", "t")) if turned else ([tuned, default], ("t", "d"))
    better = METRICS.get(metric).better == "higher"
    comparison = compare(values, np.repeat(np.arange(40), 3), draws=500, higher_is_better=better)
    return enhancement_in_words((arm,), METRICS.get(metric), comparison, names)


@pytest.mark.parametrize("turned", [False, True])
def test_enhancement_that_helped(turned):
    (line,) = words(0.05, turned=turned)
    assert line.startswith("Enhancement 'better' helped: Dice differs from 'd' by +0.0")
    assert line.endswith("It took 20 trials, 60 epochs and 2.0 h of training on the same split.")
    assert "], p < 0.001. It took" in line


def test_enhancement_that_did_harm():
    assert "did harm: Dice differs from 'd' by -0.0" in words(-0.05)[0]
    assert "did harm: HD95 differs" in words(0.05, metric="hd95_mm")[0]


def test_enhancement_that_cannot_be_told():
    assert "made no difference that this test set shows" in words(0.0, noise=0.3)[0]


def test_enhancement_without_a_comparison():
    assert "not compared with 'd' yet" in enhancement_in_words((ARM,), METRICS.get("dice"), None, ())[0]
    alone = replace(ARM, baseline="")
    assert "the suite has no arm with the settings" in enhancement_in_words((alone,), METRICS.get("dice"), None, ())[0]


def test_seeds_that_the_search_saw_are_told():
    lines = words(0.05, arm=replace(ARM, seeds_seen=(0, 1), judged_on="another split of this dataset"))
    assert lines[1] == "Seed(s) 0, 1 also served the search 'better': other ones would judge it better."
    assert lines[0].endswith("on another split of this dataset.")
    assert lines[2].endswith("so it may have seen test patients, and 't' may look too good.")


def test_a_label_that_only_looks_tuned(phantom):
    suite = make_suite("scratch")
    arms = suite.arms[0].model_copy(update={"label": "hand-tuned: v2"})
    suite = suite.model_copy(update={"arms": (arms,)})
    assert plan_suite(suite, expand(suite), phantom).tuned == ()


def test_the_baseline_of_an_arm_whose_encoder_was_tuned(tmp_path, phantom):
    path = tmp_path / "wide.toml"
    path.write_text(toml_text({**TUNED, "name": "wide", "settings": {"model.encoder_options": {"width": 4}}}))
    suite = make_suite("scratch", f"tuned:{path}")
    (arm,) = plan_suite(suite, expand(suite), phantom).tuned
    assert (arm.arm, arm.baseline) == (f"cnn_scratch width=4 / scratch / tuned:{path}", "cnn_scratch / scratch")
