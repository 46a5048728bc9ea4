"""The second stage of a run, with a first stage that marks what is bright."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungzoo.checks import check_experiment
from lungzoo.classifiers.second_stage import load_second_stage
from lungzoo.config import ExperimentConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.readers.mendeley_lungrads import MendeleyLungRadsReader
from lungzoo.data.splits.split import select_rows, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, LungzooError
from lungzoo.evaluation.evaluate import evaluate, predicted
from lungzoo.evaluation.labels import label_figures
from lungzoo.experiment import run_experiment
from lungzoo.models.load import load, resolve
from lungzoo.schema import parse
from lungzoo.training.second_stage import fit_second_stage, label_validation

from ..conftest import TINY

LABELS = ["small", "large"]
STAGE = {"name": "boosted_features", "labels": LABELS, "options": {"learning_rate": 0.5, "min_samples_leaf": 3}}


@pytest.fixture(scope="module")
def sized(phantom) -> PreparedDataset:
    """The phantom with labels of its own: by the area of the lesion, "" without one."""
    dataset = PreparedDataset(phantom.path, verify=False)
    areas = dataset.lesion_px(1)
    middle = np.median(areas[areas > 0])
    dataset.cases["label"] = np.where(areas == 0, "", np.where(areas < middle, *LABELS))
    return dataset


class Marker:
    """A "network" that answers with the reference of the case, or with nothing where it is told to."""

    def __init__(self, dataset: PreparedDataset, rows: np.ndarray, blind: tuple[int, ...] = ()) -> None:
        masks = dataset.consensus(rows, 1)
        self._answers = iter([mask * (row not in blind) for row, mask in zip(rows.tolist(), masks, strict=True)])

    def predict_on_batch(self, image: np.ndarray) -> np.ndarray:
        masks = np.stack([next(self._answers) for _ in image])
        return np.where(masks > 0, 5.0, -5.0)[..., None].astype(np.float32)


@pytest.fixture(scope="module")
def stage(sized):
    config = parse(ExperimentConfig, {**TINY, "classify": STAGE}, "test")
    rows = select_rows(sized, split_dataset(sized, config.data), config.data)
    pipeline = Pipeline(sized, config.data, 6, View(labels=config.labels))
    taught = np.concatenate([pipeline.labelled(rows[part]) for part in ("train", "val")])
    second = fit_second_stage(Marker(sized, taught), pipeline, sized, rows, config)
    assert second is not None
    return second, pipeline, config, rows


def test_only_labelled_cases_teach(stage, sized):
    second, pipeline, _, rows = stage
    assert len(pipeline.labelled(rows["train"])) < len(rows["train"])
    assert second.lesions == (len(pipeline.labelled(rows["train"])), len(pipeline.labelled(rows["val"])))
    labels = sized.cases["label"].iloc[pipeline.labelled(rows["train"])]
    assert second.stage.shares.tolist() == [(labels == label).mean() for label in LABELS]
    assert set(second.cost()) == {"classify_seconds", "classify_train", "classify_val"}


def test_where_nothing_is_marked_it_answers_with_the_shares_of_the_classes(stage, sized):
    second, pipeline, config, rows = stage
    labelled = pipeline.labelled(rows["test"])
    blind = (int(labelled[0]), int(labelled[3]))
    model = Marker(sized, rows["test"], blind)
    scores = evaluate(model, pipeline, sized, rows["test"], config.data, config.score, second.name_classes).cases
    scores.index = rows["test"]
    chances = scores[["label_probability_0", "label_probability_1"]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(np.ones(len(scores)), abs=1e-5)
    for row in blind:
        assert chances.loc[row].to_numpy() == pytest.approx(second.stage.shares, abs=1e-6)
    found = label_figures(scores)
    assert found["label_unmarked"] == 2
    assert found["label_cases"] == len(labelled)
    # Size tells these classes apart, so what it looks at are the marked pixels.
    seen = scores.loc[[row for row in labelled if row not in blind]]
    assert (seen["label_true"] == seen["label_predicted"]).mean() > 0.9


def test_validation_speaks_of_the_labelled_cases(stage, sized):
    second, pipeline, config, rows = stage
    model = Marker(sized, pipeline.labelled(rows["val"]))
    found = label_validation(model, pipeline, sized, rows["val"], config, second)
    assert found["val_label_auc"] > 0.9
    assert found["val_label_loss"] > 0
    assert label_validation(None, pipeline, sized, rows["val"][:0], config, second) == {}


def test_predictions_come_with_their_rows(stage, sized):
    _, pipeline, config, rows = stage
    parts = list(predicted(Marker(sized, rows["test"]), pipeline, sized, rows["test"], config.data, config.score))
    assert np.concatenate([part for part, _ in parts]).tolist() == rows["test"].tolist()
    for part, batch in parts:
        assert (batch.references == (sized.consensus(part, 1) > 0)).all()


def test_a_class_without_a_marked_case_cannot_be_learnt(stage, sized):
    _, pipeline, config, rows = stage
    taught = np.concatenate([pipeline.labelled(rows[part]) for part in ("train", "val")])
    blind = tuple(int(row) for row in taught if sized.cases["label"].iloc[row] == "large")
    with pytest.raises(LungzooError) as error:
        fit_second_stage(Marker(sized, taught, blind), pipeline, sized, rows, config)
    assert str(error.value) == (
        "The second stage 'boosted_features' has nothing to learn 'large' from: the model marked nothing in the "
        'training cases of that label. Train the model longer, or set classify.train_masks = "reference".'
    )


def test_a_class_of_slices_without_a_lesion_cannot_be_learnt(sized):
    labels = np.where(sized.cases["label"] == "", "none", sized.cases["label"])
    stage = {**STAGE, "labels": ["small", "none"], "train_masks": "reference"}
    config = parse(ExperimentConfig, {**TINY, "classify": stage}, "test")
    dataset = PreparedDataset(sized.path, verify=False)
    dataset.cases["label"] = labels
    rows = select_rows(dataset, split_dataset(dataset, config.data), config.data)
    pipeline = Pipeline(dataset, config.data, 6, View(labels=config.labels))
    taught = np.concatenate([pipeline.labelled(rows[part]) for part in ("train", "val")])
    with pytest.raises(LungzooError) as error:
        fit_second_stage(Marker(dataset, taught), pipeline, dataset, rows, config)
    assert str(error.value) == (
        "The second stage 'boosted_features' has nothing to learn 'none' from: the reference masks of the training "
        "cases of that label are empty. Remove it from classify.labels."
    )


def test_lung_rads_classes_of_the_mendeley_set(tmp_path):
    """Pickles in, quadratic kappa of four ordered classes out; the size of a lesion is its class."""
    names, rng, table = ["LR2", "LR3", "LR4A", "LR4B"], np.random.default_rng(0), []
    for number in range(80):
        mask, grey = np.zeros((24, 24), np.int8), rng.integers(-900, -600, (24, 24)).astype(float)
        side = 3 + 4 * (number % 4)
        mask[4 : 4 + side, 4 : 4 + side] = 1
        table.append({"label1": names[number % 4], "mask": mask, "hu_array": grey, "hu_array_old": grey})
    pd.DataFrame(table).to_pickle(tmp_path / "lung_cancer_train.pkl")
    reader = MendeleyLungRadsReader(tmp_path / "lung_cancer_train.pkl")
    import_dataset(reader, "mendeley-lungrads", tmp_path / "mendeley")
    dataset = PreparedDataset(tmp_path / "mendeley")
    values = {**TINY, "data": {**TINY["data"], "groups": "case"}, "classify": {**STAGE, "labels": names}}
    config = check_experiment(parse(ExperimentConfig, values, "test"), dataset)
    rows = select_rows(dataset, split_dataset(dataset, config.data), config.data)
    pipeline = Pipeline(dataset, config.data, 6, View(labels=config.labels))
    taught = Marker(dataset, np.concatenate([rows["train"], rows["val"]]))
    second = fit_second_stage(taught, pipeline, dataset, rows, config)
    tested = Marker(dataset, rows["test"], blind=(int(rows["test"][0]),))
    scores = evaluate(tested, pipeline, dataset, rows["test"], config.data, config.score, second.name_classes).cases
    found = label_figures(scores)
    true, said = scores["label_true"].to_numpy(), scores["label_predicted"].to_numpy()
    assert (true[1:] == said[1:]).all()  # size tells, without a spacing too; the unmarked slice gets the shares
    by_chance = np.subtract.outer(true, said) ** 2
    assert found["label_quadratic_kappa"] == pytest.approx(1 - np.mean((true - said) ** 2) / np.mean(by_chance))
    assert found["label_quadratic_kappa"] > 0.8
    assert (found["label_cases"], found["label_unmarked"]) == (len(rows["test"]), 1)
    assert found["label_macro_auc"] > 0.9
    assert "label_auc" not in found


def test_a_run_without_a_second_stage_has_none(stage, sized, tiny):
    _, pipeline, _, rows = stage
    assert fit_second_stage(None, pipeline, sized, rows, tiny) is None


def test_a_whole_run_of_two_stages(sized, tracker, tmp_path):
    values = {**TINY, "train": {**TINY["train"], "epochs": 1}, "classify": {**STAGE, "train_masks": "reference"}}
    config = parse(ExperimentConfig, values, "test")
    record = run_experiment(config, sized, tracker=tracker, runs=tmp_path / "runs")
    assert record.status == "finished", record.reason
    assert record.arm == (
        "cnn_scratch width=4 / scratch / boosted_features learning_rate=0.5 min_samples_leaf=3 reference masks"
    )
    assert record.config["classify"]["train_masks"] == "reference"
    assert 0 <= record.curves["label_auc"] <= 1
    assert record.metrics["label_accuracy"]["cases"] == record.curves["label_cases"] > 0
    assert 0 <= record.validation["val_label_auc"] <= 1
    assert record.cost["classify_train"] > record.cost["classify_val"] > 0
    manifest, file = resolve(tracker.folder / record.fingerprint / "weights")
    kept = load_second_stage(manifest, file)
    assert (kept.spec.name, kept.labels) == ("boosted_features", tuple(LABELS))
    assert kept.fitted.arrays()["labels"].tolist().count(1) == round(kept.shares[1] * record.cost["classify_train"])
    assert load(tracker.folder / record.fingerprint / "weights").count_params() == record.cost["params"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"model": {**TINY["model"], "labels": LABELS}},
            "the label head and the second stage both name classes. Received: model.labels = ['small', 'large'] beside "
            "classify.name = 'boosted_features'. Remove one of them.",
        ),
        (
            {"classify": {**STAGE, "labels": ["small", "huge"]}},
            "the dataset 'phantom' has no case with the label 'huge'. Allowed in classify.labels: large, small.",
        ),
        (
            {"data": {**TINY["data"], "labels": ["small"]}},
            "the train split of 'phantom' has no case with the label 'large', so nothing can learn it. Remove it from "
            "classify.labels, or use another data.split_seed.",
        ),
        (
            {"data": {**TINY["data"], "labels": ["huge"]}},
            "the dataset 'phantom' has no case with the label 'huge'. Allowed in data.labels: large, small.",
        ),
    ],
)
def test_what_cannot_run_is_refused_before_it_starts(sized, changes, text):
    config = parse(ExperimentConfig, {**TINY, "classify": STAGE, **changes}, "test")
    with pytest.raises(ConfigError) as error:
        check_experiment(config, sized)
    assert str(error.value) == f"{config.arm}: {text}"


def test_labels_choose_cases_and_leave_the_split_alone(sized, tiny):
    config = tiny.data.model_copy(update={"labels": ("small",)})
    split = split_dataset(sized, config)
    assert split.fingerprint == split_dataset(sized, tiny.data).fingerprint
    every, some = select_rows(sized, split, tiny.data), select_rows(sized, split, config)
    for part, rows in some.items():
        assert rows.tolist() == [row for row in every[part] if sized.cases["label"].iloc[row] == "small"]
