"""Metrics of predicted classes: confusion matrix, balanced accuracy, weighted kappa, macro AUC, scoring rules.

Answers where classes are missing from the true labels:

| metric            | some class missing              | one class only | no cases |
|-------------------|---------------------------------|----------------|----------|
| confusion_matrix  | a row of 0                      | one row        | all 0    |
| balanced_accuracy | mean over the classes there are | its recall     | NaN      |
| quadratic_kappa   | nothing special                 | 0              | NaN      |
| macro_auc         | mean over the classes there are | NaN            | NaN      |
| label_brier       | nothing special                 | nothing special | NaN     |
| log_loss          | nothing special                 | nothing special | NaN     |

Kappa is NaN, too, where one class is all there is and all that is predicted.
Labels outside 0 … classes - 1 (such as -1 for cases without a label) and NaN probabilities are refused.
"""

from __future__ import annotations

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.roc import auc


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count the cases of each pair of classes.

    Args:
        true, predicted: int (n,), numbers of classes from 0.
        classes: number of classes, 1 or more.

    Returns:
        int64 (classes, classes): rows are the true classes, columns the predicted ones.

    Raises:
        UsageError: arrays that differ in length, or numbers that no class has.
    """
    true, predicted = _checked("True", true, classes), _checked("Predicted", predicted, classes)
    if len(true) != len(predicted):
        raise UsageError(f"Every case needs both labels. Received: {len(true)} true and {len(predicted)} predicted.")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Return the mean recall of the classes that have cases, in [0, 1]; NaN without cases.

    Args:
        confusion: (classes, classes) counts from `confusion_matrix`.

    Raises:
        UsageError: no square of counts.

    Source: Brodersen et al. 2010, doi:10.1109/ICPR.2010.764, for two classes.
    """
    confusion = _checked_counts(confusion)
    sizes = confusion.sum(axis=1)
    there = sizes > 0
    return float(np.mean(confusion.diagonal()[there] / sizes[there])) if there.any() else float("nan")


def quadratic_kappa(confusion: np.ndarray) -> float:
    """Return the agreement beyond chance of ordered classes, such as Lung-RADS, in [-1, 1].

    kappa = 1 - Σ w·observed / Σ w·expected with w = (row - column)²: a confusion of distant classes costs most. It is
    1 for full agreement, 0 for that of chance, NaN where no disagreement is possible.

    Args:
        confusion: (classes, classes) counts from `confusion_matrix`, the classes in their order.

    Raises:
        UsageError: no square of counts.

    Source: Cohen 1968, doi:10.1037/h0026256.
    """
    confusion = _checked_counts(confusion)
    places = np.arange(len(confusion))
    weights = (places[:, None] - places) ** 2
    total = confusion.sum()
    expected = float((weights * np.outer(confusion.sum(axis=1), confusion.sum(axis=0))).sum())
    return 1 - float((weights * confusion).sum()) * int(total) / expected if expected else float("nan")


def macro_auc(true: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean over the classes of the AUC of each against the rest, in [0, 1].

    Classes without cases have no curve and are left out; NaN where fewer than two classes have cases.

    Args:
        true: int (n,), numbers of classes from 0.
        probability: (n, classes), no NaN.

    Raises:
        UsageError: arrays that do not fit, or NaN probabilities.

    Source: Provost and Domingos 2000, doi:10.1023/A:1024099825458 (there weighted by the size of the classes).
    """
    true, probability = np.asarray(true), np.asarray(probability, np.float64)
    if probability.ndim != 2 or probability.shape[:1] != true.shape:
        raise UsageError(
            f"Macro AUC needs a row of probabilities per case. Received: {probability.shape} for labels {true.shape}."
        )
    labels = _checked("True", true, probability.shape[1])
    areas = [auc(labels == number, probability[:, number]) for number in range(probability.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def label_brier(true: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean over cases of half the squared distance between probabilities and class, in [0, 1].

    Of two classes it is the mean of (probability of the second class - {0, 1})².

    Args:
        true: int (n,), numbers of classes from 0.
        probability: (n, classes) that sum to 1.

    Raises:
        UsageError: arrays that do not fit.

    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, half of his score.
    """
    labels, probability = _rows_for(true, probability)
    if not len(labels):
        return float("nan")
    return float(np.mean(((probability - np.eye(probability.shape[1])[labels]) ** 2).sum(axis=1)) / 2)


def log_loss(true: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean of -ln(probability of the true class); a probability below 1e-7 counts as that.

    Args:
        true, probability: as for `label_brier`.

    Raises:
        UsageError: arrays that do not fit.
    """
    labels, probability = _rows_for(true, probability)
    if not len(labels):
        return float("nan")
    return float(-np.log(np.maximum(probability[np.arange(len(labels)), labels], 1e-7)).mean())


def _rows_for(true: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, probability = np.asarray(true), np.asarray(probability, np.float64)
    if probability.ndim != 2 or probability.shape[:1] != true.shape or np.isnan(probability).any():
        raise UsageError(
            "Every case needs a row of probabilities, none of them NaN. "
            f"Received: {probability.shape} for labels {true.shape}."
        )
    return _checked("True", true, probability.shape[1]), probability


def _checked_counts(confusion: np.ndarray) -> np.ndarray:
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or len(set(confusion.shape)) != 1 or not np.issubdtype(confusion.dtype, np.integer):
        raise UsageError(
            f"A confusion matrix is a square of counts. Received: {confusion.dtype} {confusion.shape}. "
            "Make it with confusion_matrix."
        )
    return confusion.astype(np.int64)


def _checked(role: str, labels: np.ndarray, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if classes < 1:
        raise UsageError(f"There must be at least one class. Received: {classes}.")
    if labels.ndim != 1 or (labels.size and not np.issubdtype(labels.dtype, np.integer)):
        raise UsageError(f"{role} labels must be a row of integers. Received: {labels.dtype} {labels.shape}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise UsageError(
            f"{role} labels must be from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}. "
            "Leave out cases without a label first."
        )
    return labels.astype(np.int64)
