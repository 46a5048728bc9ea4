"""Hand-worked classes."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.classification import (
    balanced_accuracy,
    confusion_matrix,
    label_brier,
    log_loss,
    macro_auc,
    quadratic_kappa,
)

TRUE = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 2, 2, 0])
CONFUSION = np.array([[3, 1, 0], [0, 1, 1], [1, 0, 1]])


def test_confusion():
    assert (confusion_matrix(TRUE, PREDICTED, 3) == CONFUSION).all()


def test_balanced_accuracy():
    assert balanced_accuracy(CONFUSION) == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)


def test_quadratic_kappa():
    # Weights 0, 1, 4. Observed: one of (0, 1), one of (1, 2), one of (2, 0): 1 + 1 + 4 = 6, of 8 cases. By chance, with
    # rows 4, 2, 2 and columns 4, 2, 2: (4·2 + 4·4·2 + 2·4 + 2·2 + 4·2·4 + 2·2) / 8 = 88 / 8 = 11.
    assert quadratic_kappa(CONFUSION) == pytest.approx(1 - 6 / 11)
    assert quadratic_kappa(np.diag([2, 3, 4])) == 1.0
    assert quadratic_kappa(np.array([[1, 1], [1, 1]])) == 0.0
    assert quadratic_kappa(np.array([[0, 2], [2, 0]])) == -1.0


def test_macro_auc():
    probability = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])
    # Class 0 (case 0) above all others: 1. Class 1 (1 and 2) above: 1. Class 2 (case 3) above all: 1.
    assert macro_auc(np.array([0, 1, 1, 2]), probability) == 1.0
    # With the labels 1, 0, 1, 2: class 0 (0.3) beats one of three. Of class 1, 0.1 ties with 0.1 and loses to 0.5, and
    # 0.7 wins against both: 2.5 of 4. Class 2 (0.4) beats all.
    assert macro_auc(np.array([1, 0, 1, 2]), probability) == pytest.approx((1 / 3 + 2.5 / 4 + 1) / 3)


def test_a_missing_class_is_left_out():
    true, predicted = np.array([0, 0, 2]), np.array([0, 1, 2])
    confusion = confusion_matrix(true, predicted, 3)
    assert confusion[1].tolist() == [0, 0, 0]
    assert balanced_accuracy(confusion) == pytest.approx((1 / 2 + 1) / 2)
    assert macro_auc(true, np.eye(3)[predicted]) == pytest.approx((0.75 + 1) / 2)


def test_one_class_only():
    confusion = confusion_matrix(np.array([1, 1]), np.array([1, 0]), 2)
    assert balanced_accuracy(confusion) == 0.5
    assert quadratic_kappa(confusion) == 0.0
    assert math.isnan(quadratic_kappa(confusion_matrix(np.array([1, 1]), np.array([1, 1]), 2)))
    assert math.isnan(macro_auc(np.array([1, 1]), np.full((2, 2), 0.5)))


def test_no_cases():
    confusion = confusion_matrix(np.array([]), np.array([]), 2)
    assert (confusion == 0).all()
    assert math.isnan(balanced_accuracy(confusion))
    assert math.isnan(quadratic_kappa(confusion))
    assert math.isnan(macro_auc(np.array([]), np.zeros((0, 2))))


@pytest.mark.parametrize(
    ("true", "predicted", "classes", "message"),
    [
        ([-1, 0], [0, 0], 2, "True labels must be from 0 to 1. Received: -1 to 0. Leave out cases without a label"),
        ([0, 0], [0, 2], 2, "Predicted labels must be from 0 to 1. Received: 0 to 2"),
        ([0.5, 0], [0, 0], 2, "True labels must be a row of integers. Received: float64"),
        ([0], [0, 0], 2, "Received: 1 true and 2 predicted"),
        ([0], [0], 0, "at least one class. Received: 0"),
    ],
)
def test_labels_that_no_class_has_are_refused(true, predicted, classes, message):
    with pytest.raises(UsageError, match=message):
        confusion_matrix(np.array(true), np.array(predicted), classes)


def test_probabilities_must_fit():
    with pytest.raises(UsageError, match=r"a row of probabilities per case. Received: \(2, 2\) for labels \(3,\)"):
        macro_auc(np.array([0, 1, 0]), np.zeros((2, 2)))
    with pytest.raises(UsageError, match="1 of 2 scores are NaN"):
        macro_auc(np.array([0, 1]), np.array([[0.5, 0.5], [math.nan, 0.5]]))


@pytest.mark.parametrize("confusion", [np.zeros((2, 3), int), np.zeros(4, int), np.zeros((2, 2))])
def test_a_confusion_matrix_is_a_square_of_counts(confusion):
    for compute in (balanced_accuracy, quadratic_kappa):
        with pytest.raises(UsageError, match=r"a square of counts. Received"):
            compute(confusion)


def test_agrees_with_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(30):
        true, predicted = (np.append(rng.integers(0, 4, 40), range(4)) for _ in range(2))
        probability = rng.dirichlet(np.ones(4), 44)
        confusion = confusion_matrix(true, predicted, 4)
        assert (confusion == reference.confusion_matrix(true, predicted)).all()
        assert balanced_accuracy(confusion) == pytest.approx(reference.balanced_accuracy_score(true, predicted))
        kappa = reference.cohen_kappa_score(true, predicted, weights="quadratic")
        assert quadratic_kappa(confusion) == pytest.approx(kappa)
        area = reference.roc_auc_score(true, probability, multi_class="ovr", average="macro")
        assert macro_auc(true, probability) == pytest.approx(area)


def test_scores_of_probabilities_by_hand():
    true, probability = np.array([1, 0]), np.array([[0.2, 0.8], [0.5, 0.5]])
    assert label_brier(true, probability) == pytest.approx((0.04 + 0.25) / 2)
    assert log_loss(true, probability) == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)
    assert label_brier(np.array([2]), np.array([[1.0, 0.0, 0.0]])) == 1.0
    assert log_loss(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-math.log(1e-7))
    for compute in (label_brier, log_loss):
        assert math.isnan(compute(np.array([], int), np.zeros((0, 2))))
        with pytest.raises(UsageError, match=r"Every case needs a row of probabilities, none of them NaN\. Received: "):
            compute(np.array([1]), np.array([[0.5, math.nan]]))
