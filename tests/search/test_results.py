"""What a search found: ranking, the settings to take, pages and pictures."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from lungzoo.config import AugmentConfig, TransferConfig, TunedConfig, experiment_of
from lungzoo.schema import parse, read_toml
from lungzoo.search.outcome import Outcome
from lungzoo.search.plots import importance, save_plots
from lungzoo.search.results import SearchResults
from lungzoo.training.checkpoint import Progress
from lungzoo.weights.toml import toml_text

from .conftest import BASE, SPACE, make_plan

DATASET = {"name": "phantom", "fingerprint": "0" * 64, "slices": 72, "patients": 12}


def outcome(number: int, dice: float | None, state: str = "finished", **values) -> Outcome:
    values = {"train.learning_rate": 0.01, "train.loss": "dice", "model.decoder_attention": "none", **values}
    return Outcome(
        f"{number:04d}", state, values, dice, epochs=2, until=2, train_seconds=1.5, curve=(0.1, dice or 0.0),
        runs=(f"run{number}",),
    )  # type: ignore[arg-type]  # fmt: skip


def results(*outcomes: Outcome, **changes) -> SearchResults:
    return SearchResults(make_plan(**changes), outcomes, 10.0, DATASET, "f" * 64)


def test_the_best_is_one_that_was_not_ended_early():
    found = results(outcome(0, 0.5), outcome(1, 0.7, "pruned"), outcome(2, 0.6), outcome(3, None, "failed"))
    assert [each.number for each in found.ranked] == ["0001", "0002", "0000", "0003"]
    assert found.best is not None
    assert found.best.number == "0002"
    assert found.headline() == "Best of 4 trial(s): 0002, validation Dice 0.600."
    assert found.cost() == "1 failed, 2 finished, 1 pruned; 8 epochs in 6 s of training, 10 s in all."


def test_what_was_trained_counts_before_its_trial_is_over():
    """Fifty epochs of which eight were another trial's, beside the two of the one that is over."""
    part = Progress(epoch=50, seconds=100.0, taken_epochs=8, taken_seconds=16.5)
    found = replace(results(outcome(0, 0.5)), cut_off=(part,))
    assert (found.metrics()["search/epochs"], found.metrics()["search/train_seconds"]) == (44, 85.0)
    assert found.cost() == (
        "1 finished; 44 epochs in 85 s of training (42 epochs of trials that are not over), 10 s in all."
    )
    tuned = found.tuned()
    assert tuned is not None
    assert (tuned.provenance.trials, tuned.provenance.epochs) == (1, 44)
    assert replace(results(), cut_off=(part,)).cost().startswith("no trial over; 42 epochs in 84 s of training (42")


def test_a_dice_of_nothing_is_better_than_none():
    found = results(outcome(0, None, "failed"), outcome(1, 0.0))
    assert [each.number for each in found.ranked] == ["0001", "0000"]


def test_a_search_that_learned_nothing_recommends_nothing():
    found = results(outcome(0, 0.0), outcome(1, 0.0))
    assert not found.learned
    assert found.headline() == "None of 2 trial(s) found a lesion: validation Dice 0."
    assert "tune apply" not in found.markdown({})


def test_nothing_finished():
    found = results(outcome(0, None, "failed"))
    assert (found.best, found.tuned()) == (None, None)
    assert found.headline() == "None of 1 trial(s) finished."
    assert "search/failed" in found.metrics()


def test_tuned_settings_read_back_from_toml(tmp_path):
    found = results(outcome(0, 0.6, **{"train.learning_rate": 0.02}))
    tuned = found.tuned()
    assert tuned is not None
    (tmp_path / "s.toml").write_text(toml_text(tuned.model_dump(mode="json")))
    again = parse(TunedConfig, read_toml(tmp_path / "s.toml"), "test")
    assert again == tuned
    assert again.settings["train.learning_rate"] == 0.02
    assert again.provenance.train_seeds == (0,)
    config = experiment_of(BASE, again.settings, "test")
    assert [term.name for term in config.train.loss] == ["dice"]
    assert again.baseline == TransferConfig(recipe="scratch")


PRESETS = {"augment.preset": {"choices": ["none", "light", "medium"]}}


def test_a_preset_is_written_in_full_without_what_the_base_gave_beside_it():
    """The base shifts by 4 pixels, which wins over every preset: the search has not chosen that."""
    space = {**SPACE, "parameters": PRESETS}
    tuned = results(Outcome("0000", "finished", {"augment.preset": "light"}, 0.6, epochs=2), space=space).tuned()
    assert tuned is not None
    light = {"preset": "light", "flip": True, "intensity": 0.1, "warp_share": 0.5, "rotate_deg": 10.0, "scale": 0.1}
    of_medium = {"elastic": 0.0, "effect_share": 0.15, "gamma": 0.0, "noise": 0.0, "blur_px": 0.0}
    expected = light | of_medium | {"low_resolution": 1.0}
    assert tuned.settings == {f"augment.{name}": value for name, value in expected.items()}


def test_a_suite_keeps_its_augmentation_beside_a_tuned_preset():
    """Gamma is the preset's to set, the shift and cutout are not."""
    space = {**SPACE, "parameters": PRESETS}
    tuned = results(Outcome("0000", "finished", {"augment.preset": "light"}, 0.6, epochs=2), space=space).tuned()
    assert tuned is not None
    suite = AugmentConfig(preset="medium", shift_px=8, cutout=0.2)
    arm = experiment_of({**BASE, "augment": suite.model_dump()}, tuned.settings, "test").augment
    assert (arm.shift_px, arm.cutout, arm.rotate_deg, arm.gamma) == (8, 0.2, 10.0, 0.0)


def test_a_whole_section_that_was_searched_is_written_whole():
    parameters = {"augment": {"choices": [{"shift_px": 2}, {"rotate_deg": 5.0}]}}
    found = Outcome("0000", "finished", {"augment": {"rotate_deg": 5.0}}, 0.6, epochs=2)
    tuned = results(found, space={**SPACE, "parameters": parameters}).tuned()
    assert tuned is not None
    assert tuned.settings == {"augment": AugmentConfig(rotate_deg=5.0).model_dump(exclude_none=True)}


def test_a_recipe_is_written_with_its_options():
    values = {"transfer": "imagenet-staged", "transfer.options.decoder_share": 0.4}
    tuned = results(outcome(0, 0.6, **values)).tuned()
    assert tuned is not None
    assert tuned.settings["transfer"] == {
        "recipe": "staged",
        "weights": "imagenet",
        "options": {"decoder_share": 0.4},
    }


def test_the_page_links_to_trials_and_says_how_to_go_on():
    text = results(outcome(0, 0.5), outcome(1, 0.6)).markdown({"0001": "[0001](#/there)"})
    assert text.startswith("Best of 2 trial(s): 0001, validation Dice 0.600. Take it over with: `lungzoo tune apply s`")
    assert "| [0001](#/there) | 0.600 | 2 | finished | 0.01 | dice | none | – |" in text


def test_every_trial_is_a_row_of_the_csv():
    broken = Outcome("0001", "failed", {"train.loss": "bce"}, reason="out, of memory")
    rows = list(csv.DictReader(io.StringIO(results(outcome(0, 0.5), broken).csv_text())))
    assert [(row["number"], row["state"], row["reason"]) for row in rows] == [
        ("0000", "finished", ""),
        ("0001", "failed", "out, of memory"),
    ]
    assert rows[0]["train.learning_rate"] == "0.01"


def test_the_setting_that_decides_is_the_most_important():
    outcomes = [
        outcome(
            number, 0.3 + 0.5 * (number % 2), **{"train.loss": ("dice", "bce")[number % 2], "train.learning_rate": r}
        )
        for number, r in enumerate([0.001, 0.003, 0.01, 0.03, 0.1, 0.002, 0.02, 0.05, 0.08, 0.006])
    ]
    found = importance(results(*outcomes))
    assert max(found, key=found.__getitem__) == "train.loss"
    assert found["model.decoder_attention"] == 0
    assert importance(results(*outcomes[:7])) == {}
    assert importance(results(*[outcome(number, 0.5) for number in range(9)])) == {}


@pytest.mark.parametrize(("count", "made"), [(0, []), (1, []), (2, ["parallel_coordinates", "history"])])
def test_plots_of_few_trials(tmp_path, count, made):
    outcomes = [outcome(number, 0.5 + 0.1 * number) for number in range(count)]
    assert [path.stem for path in save_plots(results(*outcomes), tmp_path)] == made
