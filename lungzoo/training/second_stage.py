"""The second stage of a run: a classifier of the lesions that the trained model marks."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import Examples
from lungzoo.classifiers.second_stage import SecondStage, describe
from lungzoo.config import ClassifyConfig, ExperimentConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import LungzooError
from lungzoo.evaluation.evaluate import predicted
from lungzoo.evaluation.predict import Predictions
from lungzoo.metrics.classification import log_loss, macro_auc

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainedStage:
    """The second stage of a run.

    Args:
        stage: the classifier.
        seconds: how long it took, predicting the training and validation cases included.
        lesions: numbers of training and of validation lesions.
    """

    stage: SecondStage
    seconds: float
    lesions: tuple[int, int]

    def name_classes(self, batch: Predictions, cases: pd.DataFrame) -> Predictions:
        """Return predictions with a probability for each class: of the largest component of each predicted mask."""
        chances = self.stage.probabilities(batch.images, batch.masks, _spacings(cases))
        return replace(batch, label_probabilities=chances)

    def cost(self) -> dict[str, float]:
        """Return what belongs to the cost of a run."""
        train, val = self.lesions
        return {"classify_seconds": round(self.seconds, 3), "classify_train": train, "classify_val": val}


def fit_second_stage(
    model: Any, pipeline: Pipeline, dataset: PreparedDataset, rows: dict[str, np.ndarray], config: ExperimentConfig
) -> TrainedStage | None:
    """Fit the classifier on what the trained model marks in the training cases; None where a run has no second stage.

    Training cases lie as test cases do: each shifted by its own fixed amount. Cases without one of the labels, and
    those in which nothing is marked, teach nothing.

    Args:
        model: trained.
        pipeline: of the dataset, with the labels of the second stage.
        dataset: the opened dataset.
        rows: row numbers of the "train" and "val" parts.
        config: the experiment.

    Raises:
        LungzooError: some class has no marked training case.
    """
    stage = config.classify
    if stage is None:
        return None
    began = time.perf_counter()
    spec = CLASSIFIERS.get(stage.name)
    options = spec.checked_options(dict(stage.options))
    train, val = (_examples(model, pipeline, dataset, rows[part], config, stage) for part in ("train", "val"))
    counts = np.bincount(train.labels, minlength=len(stage.labels))
    if not counts.all():
        raise _nothing_to_learn(stage, stage.labels[int(counts.argmin())])
    fitted = spec.fit(train, val, len(stage.labels), options, config.train.train_seed)
    seconds = time.perf_counter() - began
    second = SecondStage(spec, stage.labels, options, fitted, counts / counts.sum())
    return TrainedStage(second, seconds, (len(train), len(val)))


def label_validation(
    model: Any,
    pipeline: Pipeline,
    dataset: PreparedDataset,
    rows: np.ndarray,
    config: ExperimentConfig,
    second: TrainedStage | None,
) -> dict[str, float]:
    """Return what the validation cases say of the predicted classes; {} without classes or labelled cases.

    Returns:
        val_label_auc, the macro AUC of the slices, and val_label_loss, their mean cross-entropy; figures that are NaN
        are left out.
    """
    labelled = pipeline.labelled(rows)
    if not config.labels or not len(labelled):
        return {}
    batches = [
        second.name_classes(batch, dataset.cases.iloc[part]) if second else batch
        for part, batch in predicted(model, pipeline, dataset, labelled, config.data, config.score)
    ]
    true = np.concatenate([batch.labels for batch in batches if batch.labels is not None])
    chances = np.concatenate([batch.label_probabilities for batch in batches if batch.label_probabilities is not None])
    found = {"val_label_auc": macro_auc(true, chances), "val_label_loss": log_loss(true, chances)}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _nothing_to_learn(stage: ClassifyConfig, label: str) -> LungzooError:
    if stage.train_masks == "predicted":
        why = "the model marked nothing in the training cases of that label. Train the model longer, or set "
        why += 'classify.train_masks = "reference".'
    else:
        why = "the reference masks of the training cases of that label are empty. Remove it from classify.labels."
    return LungzooError(f"The second stage '{stage.name}' has nothing to learn '{label}' from: {why}")


def _examples(
    model: Any,
    pipeline: Pipeline,
    dataset: PreparedDataset,
    rows: np.ndarray,
    config: ExperimentConfig,
    stage: ClassifyConfig,
) -> Examples:
    spec = CLASSIFIERS.get(stage.name)
    options = spec.checked_options(dict(stage.options))
    inputs, labels = [np.zeros((0, 1), np.float32)], [np.zeros(0, np.int64)]
    for part, batch in predicted(model, pipeline, dataset, pipeline.labelled(rows), config.data, config.score):
        masks = batch.masks if stage.train_masks == "predicted" else batch.references
        found, described = describe(spec, options, batch.images, masks, _spacings(dataset.cases.iloc[part]))
        if len(found) and batch.labels is not None:
            inputs.append(described)
            labels.append(batch.labels[found].astype(np.int64))
    return Examples(np.concatenate(inputs[1:] or inputs), np.concatenate(labels))


def _spacings(cases: pd.DataFrame) -> np.ndarray:
    return cases[["spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
