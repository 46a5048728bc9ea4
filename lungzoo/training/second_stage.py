"""The second stage of a run: a classifier of the lesions that the trained model marks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import ClassifierSpec, Examples, Fitted, lesion_of
from lungzoo.config import ClassifyConfig, ExperimentConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import LungzooError, UsageError
from lungzoo.evaluation.evaluate import predicted
from lungzoo.evaluation.predict import Predictions
from lungzoo.metrics.classification import log_loss, macro_auc
from lungzoo.schema import Option

if TYPE_CHECKING:
    import pandas as pd


_FILE = "second_stage.json"


@dataclass(frozen=True)
class SecondStage:
    """A fitted classifier of marked lesions.

    Args:
        spec: what kind of classifier.
        labels: names of the classes.
        options: all of its options.
        fitted: what it has learnt.
        shares: (classes,) how frequent the classes are among the training lesions: the answer where nothing is marked.
        seconds: how long it took, predicting the training and validation cases included.
        lesions: numbers of training and of validation lesions.
    """

    spec: ClassifierSpec
    labels: tuple[str, ...]
    options: Mapping[str, Option]
    fitted: Fitted
    shares: np.ndarray
    seconds: float
    lesions: tuple[int, int]

    def name_classes(self, batch: Predictions, cases: pd.DataFrame) -> Predictions:
        """Return predictions with a probability for each class: of the largest component of each predicted mask."""
        found, inputs = _describe(self.spec, self.options, batch, batch.masks, cases)
        chances = np.tile(self.shares.astype(np.float32), (len(batch), 1))
        if len(found):
            chances[found] = self.fitted.probabilities(inputs)
        return replace(batch, label_probabilities=chances)

    def save(self, folder: Path) -> None:
        """Write what the classifier is into a new folder; `load_second_stage` reads it."""
        folder.mkdir()
        about: dict[str, Any] = {"name": self.spec.name, "labels": self.labels, "options": dict(self.options)}
        about |= {"shares": self.shares.tolist(), "seconds": self.seconds, "lesions": self.lesions}
        (folder / _FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")
        self.fitted.save(folder)

    def cost(self) -> dict[str, float]:
        """Return what belongs to the cost of a run."""
        train, val = self.lesions
        return {"classify_seconds": round(self.seconds, 3), "classify_train": train, "classify_val": val}


def fit_second_stage(
    model: Any, pipeline: Pipeline, dataset: PreparedDataset, rows: dict[str, np.ndarray], config: ExperimentConfig
) -> SecondStage | None:
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
    return SecondStage(spec, stage.labels, options, fitted, counts / counts.sum(), seconds, (len(train), len(val)))


def load_second_stage(folder: Path) -> SecondStage:
    """Read the second stage of a recorded run.

    Args:
        folder: the artifact "classifier" of the run.

    Raises:
        UsageError: it is not that.
        UnknownNameError, ConfigError: this lungzoo has no such classifier, or none with such options.
    """
    try:
        about = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        spec, labels = CLASSIFIERS.get(about["name"]), tuple(about["labels"])
        options = spec.checked_options(about["options"])
        fitted = spec.load(folder, len(labels), options)
        train, val = about["lesions"]
        return SecondStage(
            spec, labels, options, fitted, np.array(about["shares"], float), about["seconds"], (train, val)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} is no second stage of a recorded run: {type(error).__name__}, {error}. "
            "Give the artifact folder 'classifier' as it was written."
        ) from error


def label_validation(
    model: Any,
    pipeline: Pipeline,
    dataset: PreparedDataset,
    rows: np.ndarray,
    config: ExperimentConfig,
    second: SecondStage | None,
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
        found, described = _describe(spec, options, batch, masks, dataset.cases.iloc[part])
        if len(found) and batch.labels is not None:
            inputs.append(described)
            labels.append(batch.labels[found].astype(np.int64))
    return Examples(np.concatenate(inputs[1:] or inputs), np.concatenate(labels))


def _describe(
    spec: ClassifierSpec, options: Mapping[str, Option], batch: Predictions, masks: np.ndarray, cases: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places in the batch where something is marked, and what the classifier looks at of each."""
    spacings = cases[["spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
    places, inputs = [], []
    for place, (image, mask, spacing) in enumerate(zip(batch.images, masks, spacings, strict=True)):
        lesion = lesion_of(image, mask, spacing)
        if lesion is not None:
            places.append(place)
            inputs.append(spec.describe(lesion, options))
    return np.array(places, np.int64), np.stack(inputs) if inputs else np.zeros((0, 1), np.float32)
