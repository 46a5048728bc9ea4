"""Tuning from held-out cases to weights that carry the choice."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.data.pipeline import Pipeline
from lungzoo.data.readers.folder import FolderReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, UsageError
from lungzoo.evaluation.evaluate import evaluate
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.protocol import protocol_of
from lungzoo.inference.tuning import grid as grids
from lungzoo.inference.tuning.held_out import held_out
from lungzoo.inference.tuning.kept import Choice, look
from lungzoo.inference.tuning.run import tune
from lungzoo.inference.tuning.scores import score
from lungzoo.inference.tuning.tuned import check_out, tuned_manifest, write_tuned
from lungzoo.inference.volume import Volume
from lungzoo.weights.manifest import read_manifest

Make = Callable[..., Predictor]


@contextmanager
def quietly(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture(autouse=True)
def short_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "THRESHOLDS", (0.3, 0.7))
    monkeypatch.setattr(grids, "MIN_AREAS_MM2", (0.0, 12.0))


def rows_of(dataset: PreparedDataset, patients: tuple[str, ...]) -> set[int]:
    return set(np.flatnonzero(dataset.cases["patient"].isin(patients)).tolist())


def test_only_validation_cases_are_read(make_member: Make, watched: PreparedDataset) -> None:
    """Images and masks remember who read them; training and test cases stay shut."""
    member = make_member()
    assert member.manifest.trained_on is not None
    patients = member.manifest.trained_on.patients
    outcome = tune([member], watched, Passes(), quietly)
    for array in (watched.images, watched.masks):
        assert array.read == rows_of(watched, patients.val)
    assert outcome.test is None
    tune([member], watched, Passes(), quietly, on_test=True)  # the guard notices a look at the test split
    for array in (watched.images, watched.masks):
        assert array.read == rows_of(watched, patients.val) | rows_of(watched, patients.test)


def test_the_plain_pass_is_what_evaluation_scores(make_member: Make, phantom: PreparedDataset) -> None:
    """Shifted crops and all: the figure that a run's record has."""
    member = make_member(shift_px=4)
    held = held_out([member.manifest], phantom, "test")
    kept = look([member], held, Passes(), 0.2, lambda done, total: None)
    pipeline = Pipeline(phantom, held.data, 6)
    table = evaluate(member.model, pipeline, phantom, held.rows, held.data, held.score).cases
    found = score(kept, held, None, Choice(0.5))
    lesions = (table["group"] == "lesion").to_numpy()
    assert lesions.any()
    assert np.isnan(found.dice[~lesions]).all()
    assert found.dice[lesions] == pytest.approx(table["dice"].to_numpy()[lesions])
    empty = (table["group"] == "empty").to_numpy()
    assert found.marked[empty].tolist() == (table["predicted_px"].to_numpy()[empty] > 0).tolist()


def test_an_ensemble_its_gains_and_what_is_written(make_member: Make, phantom: PreparedDataset, tmp_path: Path) -> None:
    members = [make_member(0.95, "one"), make_member(0.8, "two")]
    outcome = tune(members, phantom, Passes(), quietly, on_test=True)
    names = [gain.row.name for gain in outcome.gains]
    assert names[:3] == ["plain pass", "mirror images", outcome.gains[2].row.name]
    assert names[-2].startswith("chosen: ")
    assert names[-1] == "mean of 2 models"
    assert outcome.gains[1].dice.difference == 0.0  # the models answer pixel by pixel, so mirrors change nothing
    assert outcome.gains[1].dice.p_holm == 1.0
    for gain in outcome.gains[1:]:
        assert gain.dice.low <= gain.dice.difference <= gain.dice.high
    together, plain = outcome.gains[-1].dice, outcome.gains[0].dice
    assert together.difference != pytest.approx(together.mean - plain.mean)  # against both members, not the first

    out = tmp_path / "out"
    write_tuned(outcome, members, out, force=False)
    chosen = outcome.chosen.choice
    for place, member in enumerate(members, 1):
        manifest = read_manifest(out / f"member-{place}" / "manifest.toml")
        assert manifest.fault(out / f"member-{place}" / manifest.file) is None
        assert manifest.name == f"{member.manifest.name}-tuned"
        protocol = protocol_of(manifest)
        assert (protocol.threshold, protocol.postprocess, protocol.flips) == (
            chosen.threshold, chosen.steps, chosen.flips,
        )  # fmt: skip
        assert manifest.protocol["tuned"]["validation_dice"] == outcome.chosen.dice
    report = json.loads((out / "tuned.json").read_text())
    assert report["validation"]["chosen"]["dice"] == outcome.chosen.dice
    assert [row["step"] for row in report["test"]["gains"]] == names
    with (out / "tried.csv").open(newline="") as file:
        tried = list(csv.DictReader(file))
    assert len(tried) == outcome.grid.dice.size
    assert max(float(row["val_dice"]) for row in tried) == pytest.approx(outcome.grid.dice.max(), abs=1e-6)
    with pytest.raises(UsageError, match=r"out exists already\. Choose another folder, or replace it with --force\."):
        check_out(out, force=False)
    write_tuned(outcome, members, out, force=True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["out"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="was not made by lungzoo tune postprocess, so --force does not replace it"):
        check_out(tmp_path / "mine", force=True)


def test_tuning_twice_keeps_the_threshold_of_the_metrics(make_member: Make, phantom: PreparedDataset) -> None:
    """The figures stay those of training, whatever a second search sets out from."""
    member = make_member()
    first = tuned_manifest(member.manifest, tune([member], phantom, Passes(), quietly))
    assert first.protocol["tuned"]["threshold_of_metrics"] == 0.5
    protocol = {**first.protocol, "score": {**first.protocol["score"], "threshold": 0.3}}
    member = replace(member, manifest=first.model_copy(update={"protocol": protocol}))
    member = replace(member, protocol=protocol_of(member.manifest))
    outcome = tune([member], phantom, Passes(), quietly)
    assert outcome.grid.plain == 0.3
    second = tuned_manifest(member.manifest, outcome)
    assert second.protocol["tuned"]["threshold_of_metrics"] == 0.5
    assert second.name == first.name


@pytest.mark.parametrize("before", ["x", {"threshold_of_metrics": "x"}, {}])
def test_a_malformed_record_of_tuning_is_none(make_member: Make, phantom: PreparedDataset, before: Any) -> None:
    member = make_member()
    outcome = tune([member], phantom, Passes(), quietly)
    manifest = member.manifest.model_copy(update={"protocol": {**member.manifest.protocol, "tuned": before}})
    assert tuned_manifest(manifest, outcome).protocol["tuned"]["threshold_of_metrics"] == outcome.grid.plain


def test_a_member_of_another_fold_is_refused(make_member: Make, phantom: PreparedDataset) -> None:
    first = make_member()
    assert first.manifest.trained_on is not None
    who = first.manifest.trained_on.patients
    other = make_member(name="fold-1", patients={"train": who.test, "val": who.val, "test": who.train})
    tune([first, other], phantom, Passes(), quietly)  # the choice is made on cases that neither has seen
    text = (
        rf"'fold-1' were trained on {len(who.test)} of the {len(who.test)} test patients, such as .*seeds of one fold"
    )
    with pytest.raises(ConfigError, match=text):
        tune([first, other], phantom, Passes(), quietly, on_test=True)
    other = make_member(name="fold-2", patients={"train": who.val, "val": who.train})
    with pytest.raises(ConfigError, match=r"'fold-2' were trained on .* validation patients"):
        tune([first, other], phantom, Passes(), quietly)


def test_weights_that_started_from_others_of_the_same_split_are_tuned_and_shown(
    make_member: Make, phantom: PreparedDataset
) -> None:
    first = make_member()
    again = make_member(name="again", inherited=first.manifest.passed_on().model_dump())
    assert tune([again], phantom, Passes(), quietly, on_test=True).gains


def test_weights_whose_start_has_seen_the_cases_are_refused(make_member: Make, phantom: PreparedDataset) -> None:
    first = make_member()
    assert first.manifest.trained_on is not None
    who = first.manifest.trained_on.patients
    fitted = make_member(name="fitted", inherited={"train": who.val[:1]})
    text = rf"What the weights 'fitted' started from was trained on 1 of the {len(who.val)} validation patients, such"
    with pytest.raises(ConfigError, match=text):
        tune([fitted], phantom, Passes(), quietly)
    chosen = make_member(name="chosen", inherited={"val": who.test[:1]})
    tune([chosen], phantom, Passes(), quietly)
    with pytest.raises(ConfigError, match=r"What the weights 'chosen' started .* test patients.*has not seen these"):
        tune([chosen], phantom, Passes(), quietly, on_test=True)


def test_weights_whose_patients_are_unknown_are_refused(make_member: Make, phantom: PreparedDataset) -> None:
    with pytest.raises(ConfigError, match="The manifest of 'a' names no validation patients"):
        tune([make_member(name="a", patients={"val": ()})], phantom, Passes(), quietly)
    with pytest.raises(ConfigError, match="The manifest of 'b' does not say which patients it was trained on"):
        tune([make_member(), make_member(name="b", patients={"train": ()})], phantom, Passes(), quietly)
    with pytest.raises(ConfigError, match=r"'phantom' lacks 1 of the \d+ patients of 'c', such as NOBODY\. Give the"):
        tune([make_member(name="c", patients={"val": ("NOBODY",)})], phantom, Passes(), quietly)


def test_volumes_are_scored_as_volumes(
    make_member: Make, make_volume: Callable[..., Volume], save_nifti: Callable[..., Path], tmp_path: Path
) -> None:
    """A nodule of 2 × 16 voxels, and a false voxel in one of its slices and one without; a step drops those."""
    image, mask = np.full((5, 32, 32), -850, np.int16), np.zeros((5, 32, 32), np.uint8)
    image[1:3, 5:9, 5:9] = image[2, 20, 20] = image[4, 20, 20] = 60
    mask[1:3, 5:9, 5:9] = 1
    for patient in "ABC":
        (tmp_path / "in" / patient).mkdir(parents=True)
        save_nifti(tmp_path / "in" / patient / "image.nii", make_volume(image, source_code="RAS"))
        save_nifti(tmp_path / "in" / patient / "mask.nii", make_volume(mask, source_code="RAS"))
    import_dataset(FolderReader(tmp_path / "in", {}), "folder", tmp_path / "data")
    member = make_member(level=0.64, patients={"train": ["A"], "val": ["B"], "test": ["C"]})
    outcome = tune([member], PreparedDataset(tmp_path / "data"), Passes(), quietly)
    assert not outcome.grid.axes.per_slice
    assert (outcome.grid.lesion_cases, outcome.grid.empty_cases) == (2, 3)
    assert (outcome.plain.dice, outcome.plain.marked) == (pytest.approx((1 + 32 / 33) / 2), 1)
    assert (outcome.chosen.dice, outcome.chosen.marked) == (1.0, 0)
    steps = outcome.chosen.choice.steps
    assert steps.min_volume_mm3 > 1.125 or steps.largest == 1  # a voxel has 1.125 mm³
    assert steps.min_area_mm2 == 0
