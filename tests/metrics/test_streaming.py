"""The Keras metric agrees with the NumPy one."""

import numpy as np
import pytest

from lungzoo.metrics.overlap import overlap
from lungzoo.metrics.streaming import CaseDice


def logits(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 3.0, -3.0).astype("float32")


def test_agrees_with_overlap_on_random_masks():
    rng = np.random.default_rng(0)
    truth = rng.random((10, 16, 16, 1)) < 0.2
    predicted = rng.random((10, 16, 16, 1)) < 0.3
    metric = CaseDice()
    metric.update_state(truth[:4].astype("float32"), logits(predicted[:4]))
    metric.update_state(truth[4:].astype("float32"), logits(predicted[4:]))
    expected = np.mean([overlap(t, p).dice for t, p in zip(truth, predicted, strict=True)])
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_cases_below_the_smallest_lesion_do_not_count():
    truth = np.zeros((3, 8, 8, 1), "float32")
    truth[0, :4, :4] = 1  # 16 pixels
    truth[1, 0, :3] = 1  # 3 pixels
    metric = CaseDice(min_lesion_px=4)
    metric.update_state(truth, logits(truth > 0))
    assert float(metric.count) == 1
    assert float(metric.result()) == pytest.approx(1.0)


def test_no_case_counts_gives_zero():
    metric = CaseDice()
    metric.update_state(np.zeros((2, 4, 4, 1), "float32"), logits(np.ones((2, 4, 4, 1), bool)))
    assert float(metric.result()) == 0.0


def test_config_rebuilds_it():
    metric = CaseDice.from_config(CaseDice(0.3, 7).get_config())
    assert (metric.threshold, metric.min_lesion_px) == (0.3, 7)
