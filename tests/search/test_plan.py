"""The plan of a search: its identity, its budget, and what does not go together."""

import pytest

from lungzoo.errors import ConfigError, UsageError
from lungzoo.search.plan import find_plan, hyperband_rungs

from .conftest import SPACE, make_plan


def test_the_budget_is_not_part_of_a_search():
    assert make_plan(trials=3).digest == make_plan(trials=30, hours=1.5, total_epochs=9).digest
    assert make_plan(search_seed=1).digest != make_plan().digest


def test_a_plan_that_was_saved_is_the_same(tmp_path, plan):
    plan.save(tmp_path)
    assert find_plan(tmp_path) == plan
    assert find_plan(tmp_path / "none") is None


def test_another_search_under_the_same_name_is_refused_by_what_differs(tmp_path, plan):
    plan.save(tmp_path)
    make_plan(trials=50).refuse_another(tmp_path)
    with pytest.raises(UsageError, match=r"another tuner and another search_seed in .*--fresh"):
        make_plan(tuner="bayesian", search_seed=3).refuse_another(tmp_path)
    base = {**plan.base, "train": {**plan.base["train"], "loss": "bce"}}
    with pytest.raises(UsageError, match=r"another base in .*\. base\.train\.loss here: 'bce', there: .*\. Give this"):
        make_plan(base=base).refuse_another(tmp_path)


def test_a_damaged_plan(tmp_path):
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        find_plan(tmp_path)


def test_each_repeat_has_the_next_seed(plan):
    assert [plan.config({}, repeat).train.train_seed for repeat in range(3)] == [0, 1, 2]


def test_what_does_not_go_together():
    with pytest.raises(ConfigError, match=r"Give 'train.learning_rate' a step"):
        make_plan(tuner="grid").check()
    with pytest.raises(ConfigError, match="Leave out --prune"):
        make_plan(tuner="hyperband", prune=True).check()
    one = {**SPACE, "parameters": {"train.loss": {"choices": ["dice"]}}}
    with pytest.raises(ConfigError, match="has one combination"):
        make_plan(space=one).check()


def test_rungs_of_hyperband_by_hand():
    """Nine epochs, factor 3: brackets of 9·1 → 3·3 → 1·9, then 5·3 → 2·9, then 3·9."""
    assert hyperband_rungs(9, 3) == [(9, 1), (3, 3), (1, 9), (5, 3), (2, 9), (3, 9)]


def test_rungs_of_few_combinations_by_hand():
    """Four leave ⌈4/3⌉ and ⌈4/9⌉; of twelve, three are left for the second bracket, and none for the last."""
    assert hyperband_rungs(9, 3, 4) == [(4, 1), (2, 3), (1, 9)]
    assert hyperband_rungs(9, 3, 12) == [(9, 1), (3, 3), (1, 9), (3, 3), (1, 9)]
    assert hyperband_rungs(9, 3, 17) == hyperband_rungs(9, 3)
