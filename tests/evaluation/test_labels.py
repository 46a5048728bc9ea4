"""Figures of predicted classes, over slices and over volumes."""

import math

import numpy as np
import pandas as pd
import pytest

from lungzoo.evaluation.labels import by_volume, label_calibration, label_figures, probability_columns


def table(true: list[int], second: list[float], **columns) -> pd.DataFrame:
    chances = np.array(second)
    found = pd.DataFrame(
        {"volume": [f"v{n}" for n in range(len(true))], "patient": "p", "predicted_px": 5, "label_true": true,
         "label_predicted": (chances > 0.5).astype(int), "label_probability_0": 1 - chances,
         "label_probability_1": chances}
    )  # fmt: skip
    return found.assign(**columns)


def test_four_slices_of_two_volumes_and_one_without_a_label():
    where = {"volume": list("aabbc"), "patient": list("ppqqr"), "predicted_px": [0, 5, 5, 5, 0]}
    scores = table([0, 0, 1, 1, -1], [0.2, 0.6, 0.4, 0.8, 0.9], **where)
    found = label_figures(scores)
    assert found["label_auc"] == found["label_macro_auc"] == 0.75
    assert found["label_balanced_accuracy"] == 0.5
    assert found["label_brier"] == pytest.approx((0.04 + 0.36 + 0.36 + 0.04) / 4)
    # The volumes have 0.4 and 0.6, so they are told apart.
    assert found["label_volume_auc"] == found["label_volume_balanced_accuracy"] == 1
    assert found["label_volume_brier"] == pytest.approx(0.16)
    assert [found[f"label_{name}"] for name in ("cases", "volumes", "patients", "unmarked")] == [4, 2, 2, 1]


def test_one_class_has_no_area():
    found = label_figures(table([1, 1, 1], [0.2, 0.6, 0.9]))
    assert math.isnan(found["label_auc"])
    assert math.isnan(found["label_auc_low"])
    assert found["label_balanced_accuracy"] == pytest.approx(2 / 3)


def test_nothing_to_say_without_labels():
    assert label_figures(table([-1, -1], [0.2, 0.6])) == {}
    assert label_figures(pd.DataFrame({"volume": ["a"], "dice": [1.0]})) == {}


def test_more_classes_have_no_single_area():
    scores = table([0, 1, 2], [0.2, 0.5, 0.1], label_probability_2=[0.1, 0.2, 0.8], label_probability_0=[0.7, 0.3, 0.1])
    found = label_figures(scores.assign(label_predicted=[0, 1, 2]))
    assert "label_auc" not in found
    assert found["label_macro_auc"] == found["label_quadratic_kappa"] == 1


def test_volumes_of_two_labels_are_left_out():
    names, true, means = by_volume(
        np.array(["b", "a", "b", "a"]), np.array([1, 0, 1, 1]), np.array([[0.2, 0.8], [1, 0], [0.4, 0.6], [1, 0]])
    )
    assert names.tolist() == ["b"]
    assert true.tolist() == [1]
    assert means == pytest.approx(np.array([[0.3, 0.7]]))


def test_calibration_of_two_classes_is_the_seconds_and_of_more_the_likeliest():
    two = label_calibration(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert sum(two.lesion_px) == 1
    assert sum(two.probability_sum) == pytest.approx(0.9)
    three = label_calibration(np.array([0, 1]), np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]]))
    assert sum(three.lesion_px) == 1
    assert sum(three.probability_sum) == pytest.approx(1.2)


def test_columns_are_in_the_order_of_the_classes():
    names = [f"label_probability_{number}" for number in (10, 2, 0)]
    assert probability_columns(["case", *names]) == names[::-1]
